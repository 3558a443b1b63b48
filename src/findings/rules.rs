//! All rules: the built-in ones, compiled when a file of their language is first scanned, and the user's.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ast_grep_config::{GlobalRules, RuleConfig};
use ast_grep_language::SupportLang;
use include_dir::{Dir, include_dir};

use super::error::FindingsError;
use super::languages::{ALL, Language};
use super::rule::{About, Origin, Rule, shared_rules};
use super::text::TextRule;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// The folder of rules for files that no grammar reads.
const TEXT: &str = "text";

/// The folder of utility rules that the rules of a language share, one file per language.
const SHARED: &str = "shared";

/// Rules to scan files with.
pub struct Rules {
    library: Vec<Source>,
    user: Vec<Source>,
    /// Ids of built-in rules that the user replaced or switched off.
    replaced: BTreeSet<String>,
    grammars: Vec<Grammar>,
    text: OnceLock<Vec<(About, TextRule)>>,
}

/// The text of a rule, and its path: below `rules/` for a built-in one.
struct Source {
    path: PathBuf,
    text: Cow<'static, str>,
}

/// What is compiled for a language, once it is needed.
#[derive(Default)]
struct Grammar {
    shared: OnceLock<GlobalRules>,
    rules: OnceLock<Vec<Compiled>>,
}

/// A rule for one grammar.
pub(super) struct Compiled {
    pub about: About,
    pub config: RuleConfig<SupportLang>,
}

impl Rules {
    /// The rules that come with perfup.
    #[must_use]
    pub fn built_in() -> Self {
        let mut library = Vec::new();
        let mut folders = vec![&BUILT_IN];
        while let Some(folder) = folders.pop() {
            folders.extend(folder.dirs());
            library.extend(folder.files().filter_map(|file| {
                let text = Cow::Borrowed(file.contents_utf8()?);
                Some(Source { path: file.path().to_owned(), text })
            }));
        }
        Self::of(library)
    }

    /// The built-in rules and those in `folder` (`*.yml`, `*.yaml`), which need not exist.
    ///
    /// A rule with the id of a built-in one replaces it; one with `severity: off` switches it off.
    ///
    /// # Errors
    /// When the folder cannot be read, or a rule in it is broken.
    pub fn with_user(folder: &Path) -> Result<Self, FindingsError> {
        let mut rules = Self::built_in();
        let mut own = BTreeSet::new();
        for source in rule_files(folder)? {
            let origin = source.origin();
            let rule = rules.read(&origin, |_| true)?;
            let id = rule.id();
            let known = rules.built_in_ids();
            if matches!(rule, Rule::Off(_)) && !known.contains(&id) {
                let near = known.iter().min_by_key(|known| strsim::levenshtein(known, id));
                return Err(origin.error(
                    origin.line_of("id"),
                    format!("there is no built-in rule {id:?} to switch off"),
                    near.map_or_else(String::new, |near| format!("did you mean {near:?}?")),
                ));
            }
            if !own.insert(id.to_owned()) {
                let hint = "give it an id of its own".to_owned();
                return Err(origin.error(
                    origin.line_of("id"),
                    format!("another rule here has the id {id:?}"),
                    hint,
                ));
            }
            rules.user.push(source);
        }
        rules.replaced = own;
        Ok(rules)
    }

    fn of(library: Vec<Source>) -> Self {
        Self {
            library,
            user: Vec::new(),
            replaced: BTreeSet::new(),
            grammars: ALL.iter().map(|_| Grammar::default()).collect(),
            text: OnceLock::new(),
        }
    }

    /// The rules of a language, and of those whose rules it takes.
    pub(super) fn of_language(&self, language: &'static Language) -> &[Compiled] {
        self.grammar(language).rules.get_or_init(|| {
            let mut compiled = Vec::new();
            let mut take = |rule| {
                if let Rule::Syntax(about, configs) = rule {
                    let of_this = |config| Compiled { about: about.clone(), config };
                    compiled.extend(configs.into_iter().map(of_this));
                }
            };
            let wanted = |other: &'static Language| other.grammar == language.grammar;
            for folder in language.folders {
                self.each_built_in(folder, wanted, &mut take);
            }
            self.each_user(wanted, take);
            compiled
        })
    }

    pub(super) fn of_text(&self) -> &[(About, TextRule)] {
        self.text.get_or_init(|| {
            let mut rules = Vec::new();
            let mut take = |rule| {
                if let Rule::Text(about, rule) = rule {
                    rules.push((about, rule));
                }
            };
            self.each_built_in(TEXT, |_| false, &mut take);
            self.each_user(|_| false, take);
            rules
        })
    }

    fn each_built_in(
        &self,
        folder: &str,
        wanted: impl Fn(&'static Language) -> bool + Copy,
        mut take: impl FnMut(Rule),
    ) {
        for source in self.library.iter().filter(|source| source.path.starts_with(folder)) {
            if !self.replaced.contains(source.stem()) {
                take(self.read(&source.origin(), wanted).expect("a test compiles every built-in rule"));
            }
        }
    }

    fn each_user(&self, wanted: impl Fn(&'static Language) -> bool + Copy, mut take: impl FnMut(Rule)) {
        for source in &self.user {
            take(self.read(&source.origin(), wanted).expect("it was compiled when it was read"));
        }
    }

    fn read(
        &self,
        origin: &Origin<'_>,
        wanted: impl Fn(&'static Language) -> bool,
    ) -> Result<Rule, FindingsError> {
        Rule::read(origin, |language| self.shared(language), wanted)
    }

    fn shared(&self, language: &'static Language) -> &GlobalRules {
        self.grammar(language).shared.get_or_init(|| {
            let of_folder = |folder: &&str| {
                let path = Path::new(SHARED).join(folder).with_extension("yml");
                self.library.iter().find(|source| source.path == path).map(Source::origin)
            };
            let origins: Vec<Origin<'_>> = language.folders.iter().filter_map(of_folder).collect();
            shared_rules(language, &origins).expect("a test compiles every built-in rule")
        })
    }

    fn grammar(&self, language: &'static Language) -> &Grammar {
        let index = ALL.iter().position(|one| one.grammar == language.grammar);
        &self.grammars[index.expect("every language is in the list")]
    }

    fn built_in_ids(&self) -> Vec<&str> {
        let rules = self.library.iter().filter(|source| !source.path.starts_with(SHARED));
        rules.map(Source::stem).collect()
    }
}

impl Source {
    fn origin(&self) -> Origin<'_> {
        Origin { path: &self.path, text: &self.text }
    }

    /// The file's name without its ending, which is the id of a built-in rule.
    fn stem(&self) -> &str {
        self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

/// The rules in a folder, by name.
fn rule_files(folder: &Path) -> Result<Vec<Source>, FindingsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| FindingsError::Unreadable { path, source }
    };
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.is_file() && path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        Ok(Source { path, text: Cow::Owned(text) })
    };
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
