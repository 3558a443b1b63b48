//! One rule: ast-grep's own YAML and our `metadata:`, checked strictly.

use std::path::Path;

use ast_grep_config::{
    DeserializeEnv, GlobalRules, RuleConfig, SerializableGlobalRule, SerializableRuleConfig, Severity,
};
use ast_grep_language::SupportLang;
use serde::{Deserialize, Serialize};
use serde_saphyr::Error as YamlError;

use super::error::FindingsError;
use super::languages::{ALL, Language};
use super::text::TextRule;
use crate::diagnose::{Class, Level};

/// How much work a change is, or how likely it breaks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    Low,
    Medium,
    High,
}

/// What a rule says about its matches, apart from where they are: the keys under `metadata:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    /// Classes of bottleneck whose measured share confirms a match.
    pub class: Vec<Class>,
    pub level: Level,
    /// How many times faster the part becomes, from – to; 1 is no change.
    pub payoff: (f64, f64),
    /// What to do, a sentence.
    pub fix: String,
    pub effort: Grade,
    pub risk: Grade,
}

/// A rule without its pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct About {
    pub id: String,
    pub message: String,
    /// A remark that measured time never confirms.
    pub hint: bool,
    pub metadata: Metadata,
}

/// A rule, ready to match.
pub(super) enum Rule {
    /// For one grammar each: a rule for C is one for C++ as well.
    Syntax(About, Vec<RuleConfig<SupportLang>>),
    Text(About, TextRule),
    /// Only an id and `severity: off`.
    Off(String),
}

/// What both kinds of rules have; the rest is checked by whoever reads it.
#[derive(Deserialize)]
struct Header {
    id: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    severity: Severity,
    metadata: Option<Metadata>,
}

/// Where a rule's text comes from, for errors.
pub(super) struct Origin<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Rule {
    /// Reads and compiles a rule for those of `grammars` that it is meant for.
    ///
    /// `shared` are the utility rules of a language.
    ///
    /// # Errors
    /// When the text is no rule, with the line.
    pub fn read<'g>(
        origin: &Origin<'_>,
        shared: impl Fn(&'static Language) -> &'g GlobalRules,
        wanted: impl Fn(&'static Language) -> bool,
    ) -> Result<Self, FindingsError> {
        let header: Header = ast_grep_config::from_str(origin.text).map_err(|error| origin.yaml(&error))?;
        let off = matches!(header.severity, Severity::Off);
        if off && header.language.is_empty() {
            return Ok(Self::Off(header.id));
        }
        let is_text = header.language.eq_ignore_ascii_case("text");
        let language = Language::named(&header.language);
        if !is_text && language.is_none() {
            let known: Vec<&str> = ALL.iter().map(|language| language.folder).collect();
            return Err(origin.error(
                origin.line_of("language"),
                format!("there is no language {:?}", header.language),
                format!("write one of: {}, text", known.join(", ")),
            ));
        }
        let id = header.id.clone();
        let about = About::new(header, origin)?;
        let rule = match language {
            None => Self::Text(about, TextRule::read(origin)?),
            Some(language) => Self::Syntax(about, compile(origin, language, shared, wanted)?),
        };
        Ok(if off { Self::Off(id) } else { rule })
    }

    pub fn id(&self) -> &str {
        match self {
            Self::Syntax(about, _) | Self::Text(about, _) => &about.id,
            Self::Off(id) => id,
        }
    }
}

impl About {
    fn new(header: Header, origin: &Origin<'_>) -> Result<Self, FindingsError> {
        let hint = matches!(header.severity, Severity::Hint);
        let Some(metadata) = header.metadata else {
            return Err(origin.error(
                1,
                "metadata is missing".to_owned(),
                "add `metadata:` with class, level, payoff, fix, effort and risk".to_owned(),
            ));
        };
        let wrong = |key: &str, message: &str, hint: &str| {
            Err(origin.error(origin.line_of(key), message.to_owned(), hint.to_owned()))
        };
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if header.id.is_empty() || !header.id.chars().all(is_plain) {
            return wrong("id", "the id is not in kebab-case", "for example: id: request-in-loop");
        }
        if header.message.trim().is_empty() {
            return wrong("message", "message is missing", "say in a sentence what is slow here");
        }
        if metadata.class.iter().any(|class| matches!(class, Class::MachineBusy | Class::NotEnoughEvidence)) {
            return wrong("class", "a finding cannot explain this class", "name a class of bottleneck");
        }
        if metadata.class.is_empty() && !hint {
            return wrong(
                "class",
                "no class, so that nothing measured could confirm it",
                "name a class, or make it a hint (severity: hint)",
            );
        }
        let (low, high) = metadata.payoff;
        if !(1.0 <= low && low <= high && high.is_finite()) {
            return wrong(
                "payoff",
                "payoff is not a range of speed-ups",
                "for example: payoff: [2, 10]; 1 is no change",
            );
        }
        if metadata.fix.trim().is_empty() {
            return wrong("fix", "fix is empty", "say in a sentence what to do");
        }
        Ok(Self { id: header.id, message: header.message.trim().to_owned(), hint, metadata })
    }
}

fn compile<'g>(
    origin: &Origin<'_>,
    language: &'static Language,
    shared: impl Fn(&'static Language) -> &'g GlobalRules,
    wanted: impl Fn(&'static Language) -> bool,
) -> Result<Vec<RuleConfig<SupportLang>>, FindingsError> {
    let config: SerializableRuleConfig<SupportLang> =
        ast_grep_config::from_str(origin.text).map_err(|error| origin.yaml(&error))?;
    let mut compiled = Vec::new();
    for other in ALL.iter().filter(|other| other.folders.contains(&language.folder) && wanted(other)) {
        let config = SerializableRuleConfig { language: other.grammar, ..config.clone() };
        let rule = RuleConfig::try_from(config, shared(other)).map_err(|error| {
            let key = if format!("{error:?}").contains("Constraints") { "constraints" } else { "rule" };
            origin.error(
                origin.line_of(key),
                format!("{} (as {})", chain(&error), other.folder),
                "see docs/rules.md, and https://ast-grep.github.io/reference/rule.html for all that a rule can say"
                    .to_owned(),
            )
        })?;
        compiled.push(rule);
    }
    Ok(compiled)
}

/// The utility rules that the rules of a language share, from the texts of all languages whose rules it takes.
///
/// # Errors
/// When a text is no list of utility rules.
pub(super) fn shared_rules(
    language: &Language,
    origins: &[Origin<'_>],
) -> Result<GlobalRules, FindingsError> {
    let mut all: Vec<SerializableGlobalRule<SupportLang>> = Vec::new();
    for origin in origins {
        let rules: Vec<SerializableGlobalRule<SupportLang>> =
            ast_grep_config::from_multiple(origin.text).map_err(|error| origin.yaml(&error))?;
        // What a nearer language says of the same name replaces it: `in-loop` of C++ knows more loops than that of C.
        all.retain(|old| rules.iter().all(|new| new.id != old.id));
        all.extend(
            rules.into_iter().map(|rule| SerializableGlobalRule { language: language.grammar, ..rule }),
        );
    }
    DeserializeEnv::parse_global_utils(all).map_err(|error| {
        let none = Origin { path: Path::new("rules/shared"), text: "" };
        let origin = origins.last().unwrap_or(&none);
        origin.error(1, chain(&error), "correct the shared rule".to_owned())
    })
}

impl Origin<'_> {
    pub fn error(&self, line: u64, message: String, hint: String) -> FindingsError {
        FindingsError::Rule { path: self.path.to_owned(), line, message, hint }
    }

    pub fn yaml(&self, error: &YamlError) -> FindingsError {
        let message = error.without_snippet().to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        // For a key inside of `rule:` the reader only knows where the document ends.
        let key = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let line = key.map(|key| self.line_of(key)).filter(|line| *line > 1);
        let line = line.or_else(|| error.location().map(|location| location.line())).unwrap_or(1);
        self.error(line, message, "correct this line; docs/rules.md has an example of every key".to_owned())
    }

    /// The line of a key, 1-based; the first one when it is not there.
    pub fn line_of(&self, key: &str) -> u64 {
        let found = self.text.lines().position(|line| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
        });
        found.map_or(1, |index| index as u64 + 1)
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| error.to_string().trim_end_matches('.').to_owned()).collect::<Vec<_>>().join(": ")
}
