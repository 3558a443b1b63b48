//! "the slow import step" → the benchmark that is meant.
//!
//! **Invariant**: pure; names what fits, and leaves to others what to do with none or several.

/// Something with a name that was run here before, or is set up to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub name: String,
    pub command: String,
}

/// Words that say nothing about which one is meant.
const FILLERS: &[&str] = &[
    "a",
    "an",
    "and",
    "analyse",
    "analyze",
    "benchmark",
    "command",
    "faster",
    "find",
    "fix",
    "for",
    "from",
    "how",
    "in",
    "is",
    "it",
    "make",
    "me",
    "my",
    "of",
    "on",
    "one",
    "our",
    "part",
    "please",
    "program",
    "script",
    "slow",
    "slower",
    "so",
    "speed",
    "step",
    "take",
    "takes",
    "that",
    "the",
    "thing",
    "this",
    "to",
    "up",
    "what",
    "when",
    "why",
    "with",
];

/// Letters in which two words must begin alike to be forms of one: `import` and `importing`, `word` and `words`.
const STEM_MIN: usize = 4;

/// Letters from which a word may have one wrong letter: shorter ones are alike by chance.
const MISSPELT_MIN: usize = 5;

/// How well a form or a misspelling of a word fits, where the word itself fits with 1.
const NEARLY: f64 = 0.9;

/// Share of the telling words that must be found in a candidate.
const FIT_MIN: f64 = 0.5;

/// A candidate whose fit is within this of the best could be meant as well.
const FIT_MARGIN: f64 = 0.2;

/// The candidates that the words may mean, best first: one when it is clear.
pub(super) fn lookup<'a, T>(
    words: &str,
    candidates: &'a [T],
    of: impl Fn(&'a T) -> &'a Candidate,
) -> Vec<&'a T> {
    let asked: Vec<String> =
        parts(words).into_iter().filter(|word| !FILLERS.contains(&word.as_str())).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let mut fits: Vec<(f64, &T)> = candidates
        .iter()
        .map(|candidate| (fit(&asked, of(candidate)), candidate))
        .filter(|(fit, _)| *fit >= FIT_MIN)
        .collect();
    fits.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = fits.first().map_or(0.0, |(fit, _)| *fit);
    fits.into_iter().filter(|(fit, _)| *fit > best - FIT_MARGIN).map(|(_, candidate)| candidate).collect()
}

/// Mean over the words asked for of how well each is found; a hit in the name counts more than one in the command.
fn fit(asked: &[String], candidate: &Candidate) -> f64 {
    let (name, command) = (parts(&candidate.name), parts(&candidate.command));
    let best =
        |word: &str, known: &[String]| known.iter().map(|known| alike(word, known)).fold(0.0, f64::max);
    let sum: f64 = asked.iter().map(|word| best(word, &name).max(0.9 * best(word, &command))).sum();
    sum / asked.len() as f64
}

fn alike(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let stem = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let misspelt = a.len().min(b.len()) >= MISSPELT_MIN && strsim::osa_distance(a, b) == 1;
    if stem >= STEM_MIN || misspelt { NEARLY } else { 0.0 }
}

/// Words in lower case, also those within `wordCount`, `word_count` and `word-count`.
fn parts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            found.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    found.extend((!word.is_empty()).then_some(word));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, expected: &[&str]) {
        let known = [
            ("import", "python3 tools/import_orders.py data.csv"),
            ("report", "python3 report.py --month 3"),
            ("word-count", "./count.sh big.txt"),
            ("export-daily", "./target/release/export --daily"),
            ("export-weekly", "./target/release/export --weekly"),
        ]
        .map(|(name, command)| Candidate { name: name.to_owned(), command: command.to_owned() });
        let found: Vec<&str> =
            lookup(words, &known, |known| known).iter().map(|known| known.name.as_str()).collect();
        assert_eq!(found, expected, "{words}");
    }

    #[test]
    fn words_find_the_one_that_is_meant() {
        check("the slow import step", &["import"]);
        check("why is importing orders so slow?", &["import"]);
        check("the monthly raport", &["report"]);
        check("wordCount", &["word-count"]);
        check("counting words", &["word-count"]);
        check("the weekly export", &["export-weekly"]);
    }

    #[test]
    fn several_or_none_are_left_open() {
        check("the export", &["export-daily", "export-weekly"]);
        check("the slow step", &[]);
        check("train the model", &[]);
        check("", &[]);
        check("py", &["import", "report"]);
    }
}
