//! The environment that measured programs see.
//!
//! **Invariant**: nothing that is added names perfup or an attempt; the neutral environment also holds no secret of the
//! user's.

use std::collections::BTreeMap;
use std::path::Path;

/// Variables handed through by name: who and where the user is, and where languages find their things.
const ALLOWED: &[&str] = &[
    "BUNDLE_PATH",
    "CARGO_HOME",
    "DOTNET_ROOT",
    "GEM_HOME",
    "GEM_PATH",
    "GODEBUG",
    "GOFLAGS",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOMODCACHE",
    "GOPATH",
    "GOROOT",
    "GOTOOLCHAIN",
    "HOME",
    "JAVA_HOME",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "LUA_CPATH",
    "LUA_PATH",
    "NODE_ENV",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PATH",
    "PERL5LIB",
    "RUBYLIB",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "R_HOME",
    "R_LIBS",
    "R_LIBS_USER",
    "TERM",
    "TZ",
    "TZDIR",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

/// Families of variables: locale, Python, numeric libraries and their threads, GPUs.
const ALLOWED_PREFIXES: &[&str] = &[
    "BLIS_",
    "CONDA_",
    "CUDA_",
    "GOMP_",
    "HIP_",
    "HSA_",
    "JULIA_",
    "KMP_",
    "LC_",
    "MKL_",
    "NUMBA_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "OPENBLAS_",
    "PYTHON",
    "ROCR_",
    "VECLIB_",
];

/// Parts of names that hold secrets; such a variable is never handed through, whatever family it is of.
const SECRET_PARTS: &[&str] =
    &["AUTH", "CREDENTIAL", "KEY", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];

/// A name that programs ignore and whose value is arbitrary wherever it occurs (some terminals set it).
const PADDING_NAME: &str = "TERM_SESSION_ID";

/// Padding stays below one page: it moves the stack through every alignment (Mytkowicz et al., ASPLOS 2009).
const PADDING_BYTES_END: u64 = 4096;

/// The part of a user's environment that measured programs get.
#[must_use]
pub fn neutral_environment(user: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<_> = user.filter(|(name, _)| is_allowed(name)).collect();
    kept.sort();
    kept
}

fn is_allowed(name: &str) -> bool {
    let named = ALLOWED.contains(&name) || ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let upper = name.to_ascii_uppercase();
    named && !SECRET_PARTS.iter().any(|part| upper.contains(part))
}

/// The environment of one run: the base, the run's own temporary folder, padding, and what the benchmark asks for.
pub(super) fn for_run(
    base: &[(String, String)],
    own: &BTreeMap<String, String>,
    temporary: &Path,
    noise_seed: u64,
) -> Vec<(String, String)> {
    let mut merged: BTreeMap<String, String> = base.iter().cloned().collect();
    merged.insert("TMPDIR".to_owned(), temporary.to_string_lossy().into_owned());
    merged.insert(PADDING_NAME.to_owned(), "0".repeat(padding_bytes(noise_seed)));
    merged.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    merged.into_iter().collect()
}

fn padding_bytes(seed: u64) -> usize {
    // The finaliser of MurmurHash3: neighbouring seeds give unrelated lengths.
    let mut hash = seed;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    usize::try_from((hash ^ (hash >> 33)) % PADDING_BYTES_END).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn secrets_and_strangers_stay_out() {
        let check = |name: &str, expected: bool| assert_eq!(is_allowed(name), expected, "{name}");
        for name in
            ["PATH", "HOME", "LC_ALL", "PYTHONPATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV"]
        {
            check(name, true);
        }
        for name in [
            "CONDA_TOKEN",
            "CUDA_API_KEY",
            "PYTHON_KEYRING_BACKEND",
            "NODE_AUTH_TOKEN",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOPRIVATE",
            "AWS_SECRET_ACCESS_KEY",
            "LD_PRELOAD",
            "PWD",
            "CI",
        ] {
            check(name, false);
        }
    }

    #[test]
    fn a_run_gets_the_base_and_its_own_with_its_own_winning() {
        let base = owned(&[("PATH", "/bin"), ("LANG", "C")]);
        let own = BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]);
        let env = for_run(&base, &own, Path::new("/t/x"), 7);
        let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["LANG", "PATH", "TERM_SESSION_ID", "TMPDIR"]);
        assert_eq!(env[0].1, "C.UTF-8");
        assert_eq!(env[3].1, "/t/x");
    }

    #[test]
    fn padding_covers_the_page_and_repeats_with_its_seed() {
        let lengths: Vec<usize> = (0..4000).map(padding_bytes).collect();
        assert_eq!(lengths, (0..4000).map(padding_bytes).collect::<Vec<_>>());
        let alignments: std::collections::BTreeSet<usize> = lengths.iter().map(|bytes| bytes / 16).collect();
        assert_eq!(alignments.len(), 256, "every 16-byte alignment of a page occurs");
    }
}
