//! Parameters of commands: `{NAME}` and the values it takes.

use std::collections::BTreeMap;

use super::super::failure::Failure;
use super::arguments::MeasureArgs;

/// Values of one parameter that are still a measurement and no typing error.
const VALUES_MAX: usize = 1000;

/// The smallest positive number has no digit before this decimal.
const DECIMALS_MAX: usize = 324;

/// Rounding errors of so many values are far below this share of a step.
const HAIR: f64 = 1e-9;

/// One value for each parameter.
pub(super) type Values = BTreeMap<String, String>;

/// Every combination of the parameters' values; one empty set where there are none.
pub(super) fn sets(args: &MeasureArgs) -> Result<Vec<Values>, Failure> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for pair in args.parameter_list.chunks_exact(2) {
        all.push((pair[0].clone(), pair[1].split(',').map(str::to_owned).collect()));
    }
    for scan in args.parameter_scan.chunks_exact(3) {
        let step = args.parameter_step_size.as_deref().unwrap_or("1");
        all.push((scan[0].clone(), numbers(&scan[0], &scan[1], &scan[2], Step::Add, step)?));
    }
    if let Some(scale) = &args.scale {
        let (name, sizes) = self::scale(scale)?;
        all.push((name, sizes));
    }
    let mut sets = vec![Values::new()];
    for (name, values) in &all {
        if name.is_empty() || values.iter().any(String::is_empty) {
            return Err(Failure::usage(
                format!("the parameter {name:?} lacks a name or a value"),
                "for example -L level 1,6,9",
            ));
        }
        if all.iter().filter(|(other, _)| other == name).count() > 1 {
            return Err(Failure::usage(format!("the parameter {name} is given twice"), "name each one once"));
        }
        sets = sets
            .iter()
            .flat_map(|set| {
                values.iter().map(|value| {
                    let mut with = set.clone();
                    with.insert(name.clone(), value.clone());
                    with
                })
            })
            .collect();
    }
    Ok(sets)
}

/// `text` with every `{NAME}` replaced by its value.
pub(super) fn put(text: &str, values: &Values) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

pub(super) fn occurs(text: &str, name: &str) -> bool {
    text.contains(&format!("{{{name}}}"))
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Add,
    Multiply,
}

/// `n=1000..64000:x2`, `n=10..100:+10`, `n=1,10,100`.
fn scale(text: &str) -> Result<(String, Vec<String>), Failure> {
    let wrong = || {
        Failure::usage(
            format!("--scale {text} names no sizes"),
            "for example --scale n=1000..64000:x2, n=10..100:+10 or n=1,10,100",
        )
    };
    let (name, sizes) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    let Some((low, rest)) = sizes.split_once("..") else {
        let values: Vec<String> = sizes.split(',').map(|size| size.trim().to_owned()).collect();
        if values.iter().any(|value| value.parse::<f64>().is_err()) {
            return Err(wrong());
        }
        return Ok((name.to_owned(), values));
    };
    let (high, step) = rest.split_once(':').unwrap_or((rest, "x2"));
    let (kind, by) = match (step.strip_prefix('x'), step.strip_prefix('+')) {
        (Some(by), _) => (Step::Multiply, by),
        (_, Some(by)) => (Step::Add, by),
        _ => return Err(wrong()),
    };
    Ok((name.to_owned(), numbers(name, low, high, kind, by)?))
}

/// The numbers from `low` to `high`, written with as many decimals as the inputs have: whole numbers stay whole, also
/// when they are multiplied by 1.5. What looks alike then comes once.
fn numbers(name: &str, low: &str, high: &str, kind: Step, step: &str) -> Result<Vec<String>, Failure> {
    let read = |text: &str| {
        text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| {
            Failure::usage(format!("{text:?} of the parameter {name} is no number"), "for example -P n 1 10")
        })
    };
    let (first, last, by) = (read(low)?, read(high)?, read(step)?);
    let grows = match kind {
        Step::Add => by > 0.0,
        Step::Multiply => by > 1.0 && first > 0.0,
    };
    if !grows || last < first {
        return Err(Failure::usage(
            format!("the parameter {name} does not get from {low} to {high} by {step}"),
            "the step must lead upwards",
        ));
    }
    let written = match kind {
        Step::Add => vec![low, high, step],
        Step::Multiply => vec![low, high],
    };
    let decimals = written.into_iter().map(decimals).max().unwrap_or(0);
    // The last value belongs to the range also when rounding has put it a hair above.
    let end = match kind {
        Step::Add => last + by * HAIR,
        Step::Multiply => last * (1.0 + HAIR),
    };
    let mut values: Vec<String> = Vec::new();
    for index in 0..=VALUES_MAX {
        let value = match kind {
            Step::Add => first + by * index as f64,
            Step::Multiply => first * by.powi(i32::try_from(index).unwrap_or(i32::MAX)),
        };
        if value > end {
            return Ok(values);
        }
        // Half away from zero: 1, 1.5, 2.25 are 1, 2, 2, where halves to the even would depend on the digit before.
        let value = if decimals == 0 { value.round() } else { value };
        let text = format!("{value:.decimals$}");
        if values.last() != Some(&text) {
            values.push(text);
        }
    }
    Err(Failure::usage(
        format!("the parameter {name} has more than {VALUES_MAX} values"),
        "take a larger step",
    ))
}

/// Decimals that a number is written with: 2 of `0.25`, 3 of `1e-3`.
fn decimals(text: &str) -> usize {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let after_point = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let decimals = i64::try_from(after_point).unwrap_or(i64::MAX).saturating_sub(exponent);
    usize::try_from(decimals.max(0)).unwrap_or(usize::MAX).min(DECIMALS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let sizes = scale(text).ok().map(|(_, sizes)| sizes);
            assert_eq!(
                sizes.as_deref().map(|s| s.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(),
                expected,
                "{text}"
            );
        };
        check("n=1000..8000:x2", Some(&["1000", "2000", "4000", "8000"]));
        check("n=1000..8000", Some(&["1000", "2000", "4000", "8000"]));
        check("n=10..35:+10", Some(&["10", "20", "30"]));
        check("n=0.1..0.3:+0.1", Some(&["0.1", "0.2", "0.3"]));
        check("n=1,10,100", Some(&["1", "10", "100"]));
        check("n=1..8:x1.5", Some(&["1", "2", "3", "5", "8"]));
        check("n=0.5..2:x2", Some(&["0.5", "1.0", "2.0"]));
        check("n=1e3..4e3", Some(&["1000", "2000", "4000"]));
        check("n=1e-3..4e-3:+1.5e-3", Some(&["0.0010", "0.0025", "0.0040"]));
        check(
            "n=1e-15..3e-15:+1e-15",
            Some(&["0.000000000000001", "0.000000000000002", "0.000000000000003"]),
        );
        check("n=1..10:x1", None);
        check("n=10..1", None);
        check("n=0..10:x2", None);
        check("n=a,b", None);
        check("=1,2", None);
        check("n", None);
        check("n=1..2:3", None);
        check("n=1..1e9:+1", None);
    }

    #[test]
    fn decimals_are_those_that_are_written() {
        let check = |text: &str, expected: usize| assert_eq!(decimals(text), expected, "{text}");
        check("12", 0);
        check("0.25", 2);
        check("1e-3", 3);
        check("1.5E-3", 4);
        check("1.5e3", 0);
        check("1.25e1", 1);
        check("0e-99999999999999999999", 0);
        check("0e-999999999", DECIMALS_MAX);
    }

    #[test]
    fn values_go_where_their_name_stands() {
        let values = Values::from([("n".to_owned(), "5".to_owned()), ("mode".to_owned(), "fast".to_owned())]);
        assert_eq!(put("./x {n} --{mode} {n}{other}", &values), "./x 5 --fast 5{other}");
    }
}
