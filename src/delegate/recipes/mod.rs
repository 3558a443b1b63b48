//! Mechanical changes that need no agent. Each says where it applies, why, and how far it can be trusted.
//!
//! **To add one**: one file here implementing [`Recipe`], one line in [`ALL`].
//! **Invariant**: a recipe proposes only what it can make; whether it helps is for measurement to say.

mod c_flags;
mod cargo_profile;
mod cmake_build_type;
mod edits;
mod makefile;
mod policy_flags;
mod python;
mod ruff;
mod shell;

use super::{DelegateError, Delegated, Executor, Project};
use crate::diagnose::Level;
use crate::plan::{Hypothesis, Soundness};

/// A mechanical change.
pub trait Recipe: Sync {
    /// Kebab-case, unique; named after the trouble, not the cure.
    fn id(&self) -> &'static str;
    fn level(&self) -> Level;
    fn soundness(&self) -> Soundness;
    /// One sentence: where it applies.
    fn applies(&self) -> &'static str;
    /// One or two sentences: why that is slow, and what the change does about it.
    fn why(&self) -> &'static str;
    /// One hypothesis per independent place; empty where it does not apply.
    fn propose(&self, project: &Project) -> Vec<Hypothesis>;
    /// Makes the change that `hypothesis.key` names, in `project.root`.
    ///
    /// # Errors
    /// [`DelegateError`].
    fn apply(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError>;
}

/// Every recipe, in the order of listings.
pub const ALL: &[&dyn Recipe] = &[
    &python::LIST_MEMBERSHIP,
    &python::LIST_POP_FRONT,
    &python::SUM_LISTS,
    &python::REGEX_IN_LOOP,
    &ruff::Ruff,
    &shell::ProcessPerLine,
    &shell::SequentialLoop,
    &cargo_profile::CargoProfile,
    &c_flags::CFlags,
    &cmake_build_type::CmakeBuildType,
    &policy_flags::GENERIC_CPU,
    &policy_flags::STRICT_FLOATS,
];

/// The built-in executor.
pub struct Recipes;

impl Executor for Recipes {
    fn id(&self) -> &'static str {
        "recipes"
    }

    fn propose(&self, project: &Project) -> Vec<Hypothesis> {
        ALL.iter().flat_map(|recipe| recipe.propose(project)).collect()
    }

    fn execute(&self, hypothesis: &Hypothesis, project: &Project) -> Result<Delegated, DelegateError> {
        let Some(recipe) = ALL.iter().find(|recipe| recipe.id() == hypothesis.recipe) else {
            return Err(DelegateError::NotApplicable {
                recipe: hypothesis.recipe.clone(),
                reason: "no such recipe in this version".to_owned(),
            });
        };
        recipe.apply(hypothesis, project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_says_what_it_is() {
        let mut ids = std::collections::BTreeSet::new();
        for recipe in ALL {
            let id = recipe.id();
            assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{id}");
            assert!(ids.insert(id), "{id} twice");
            assert!(recipe.applies().ends_with('.') && recipe.why().ends_with('.'), "{id}");
            assert!(recipe.level() > Level::L0, "{id}: correctness is no recipe's business");
        }
    }
}
