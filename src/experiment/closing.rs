//! The end of an attempt: its result in the worklog, then the refs that the worklog speaks of.
//!
//! **Invariant**: in this order. After a crash between the two, a resume finds the keep in the worklog and moves the
//! branch; the other way round a branch would claim what nobody wrote down.

use super::attempt::{Attempt, Measured, State};
use super::context::Context;
use super::error::ExperimentError;
use super::event::Event;
use super::incumbent::Incumbent;
use super::record;
use crate::verify::Outcome;
use crate::worklog::{AttemptResult, AttemptVerdict};
use crate::workspace::PerfupBranch;

impl Attempt {
    /// Writes the result: the worklog first, then the refs that it speaks of.
    pub(super) fn close(
        &self,
        context: &mut Context,
        incumbent: &Incumbent,
        branch: &PerfupBranch,
        state: &State,
        outcome: &Outcome,
        measured: Option<Measured>,
    ) -> Result<(), ExperimentError> {
        let commit = state.commit().cloned();
        let decision = measured.as_ref().and_then(|measured| measured.decision);
        let diff = match &commit {
            Some(commit) => Some(context.repository.diff_sha256(&incumbent.checkout.commit, commit)?),
            None => None,
        };
        let mut evidence = record::to_json(&decision)?;
        if let (Some(measured), Some(fields)) = (&measured, evidence.as_object_mut()) {
            fields.insert("guards".to_owned(), record::to_json(&measured.guards)?);
        }
        context.worklog.close_attempt(
            self.id,
            &AttemptResult {
                verdict: if *outcome == Outcome::Kept {
                    AttemptVerdict::Keep
                } else {
                    AttemptVerdict::Revert
                },
                status: outcome.status().to_owned(),
                reason: outcome.id().to_owned(),
                explanation: outcome.to_string(),
                change_description: state.summary().to_owned(),
                branch: commit.as_ref().map(|_| branch.to_string()),
                commit_id: commit.as_ref().map(ToString::to_string),
                diff_sha256: diff,
                baseline_metric: measured.as_ref().map(|measured| measured.medians.0),
                result_metric: measured.as_ref().map(|measured| measured.medians.1),
                delta_pct: measured.as_ref().map(|measured| (measured.estimate.ratio - 1.0) * 100.0),
                e_value_ln: decision.as_ref().map(|decision| decision.e_value_ln),
                threshold_ln: decision.as_ref().map(|decision| decision.threshold_ln),
                evidence,
            },
        )?;
        if let Some(commit) = &commit {
            // Discarded diffs stay reachable.
            context.repository.keep_ref(&context.session_name, self.number, commit)?;
        }
        if *outcome == Outcome::Kept {
            if let Some(commit) = &commit {
                context.advance_tip(commit)?;
            }
        } else {
            let path = context.layout.worktree(&context.session_name, self.number);
            context.repository.remove_worktree(&path)?;
        }
        context.events.send(Event::AttemptClosed {
            number: self.number,
            outcome: outcome.clone(),
            estimate: measured.map(|measured| measured.estimate),
        });
        Ok(())
    }
}
