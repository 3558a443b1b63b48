//! Sizes and rates as people write them.

/// Reads `4096`, `2 GiB`, `1.5 GB`, `100kB`.
///
/// # Errors
/// A sentence for the user.
pub fn parse_bytes(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no size; write for example 4096, \"64 MiB\" or \"2 GB\"");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let scale = match unit.trim() {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    number.parse::<f64>().map(|number| number * scale).map_err(|_| wrong())
}

/// Reads `500 MB/s`, `10 Gbit/s`: bytes per second.
pub(super) fn parse_byte_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no rate; write for example \"500 MB/s\" or \"10 Gbit/s\"");
    let amount = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
    match amount.strip_suffix("bit") {
        // kbit, Mbit: a size in bytes with an eighth of the value.
        Some(bits) => parse_bytes(&format!("{bits}B")).map(|bits| bits / 8.0).map_err(|_| wrong()),
        None => parse_bytes(amount).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_have_units() {
        let sizes = ["4096", "100kB", " 2 GiB", "1.5 MB", "7 B"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(sizes, [4096.0, 1e5, 2_147_483_648.0, 1.5e6, 7.0]);
        let rates = ["500 MB/s", "1 GiB/s", "10 Gbit/s", "8bit/s"].map(|text| parse_byte_rate(text).unwrap());
        assert_eq!(rates, [5e8, 1_073_741_824.0, 1.25e9, 1.0]);
        for wrong in ["", "GB", "2 gigs", "1,5 MB", "-1", "1.2.3 MB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "/s", "5 MB", "5 baud/s", "Gbit/s"] {
            assert!(parse_byte_rate(wrong).is_err(), "{wrong:?}");
        }
    }
}
