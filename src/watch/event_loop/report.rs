//! Messages about the watcher and the results of runs.

use std::time::{Duration, Instant};

use super::Watch;
use crate::app::run::{self, PLAN_ONLY, RunOutcome};
use crate::error::{Error, Kind};
use crate::session::Mode;
use crate::ui::format;
use crate::ui::terminal::{self, say, tell};
use crate::watch::comparison::{self, RunResults};

impl Watch {
    pub(super) fn greet(&self) {
        if self.options.once {
            return;
        }
        let folders = self.scripts.folders.iter();
        let scripts = self.scripts.all.iter().filter(|watched| !watched.is_of_folder);
        let names = scripts.map(|watched| &watched.path).chain(folders);
        let names: Vec<_> = names.map(|path| path.display().to_string()).collect();
        let how = if self.has_keys { "h shows the keys" } else { "Ctrl-C ends it" };
        say(&format!("watching {} ({how})", names.join(", ")));
    }

    /// Shows messages that were held back during the runs.
    pub(super) fn show_held_back(&mut self) {
        if !self.skipped.is_empty() {
            let names = std::mem::take(&mut self.skipped);
            let (verb, what) = match names.len() {
                1 => ("is", "a runbook"),
                _ => ("are", "runbooks"),
            };
            let rest = names.len().saturating_sub(3);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let names = names.into_iter().take(3).collect::<Vec<_>>().join(", ");
            say(&format!("note: {names}{more} {verb} left alone, not being {what}"));
        }
        if !std::mem::replace(&mut self.has_reported_empty, true) && !self.options.once {
            for folder in self.scripts.empty_folders() {
                say(&format!("note: there is no runbook in {folder} yet"));
            }
        }
    }

    /// Shows the result of a run.
    pub(super) fn show_result(
        &mut self,
        script: usize,
        executed: &RunOutcome,
        output: String,
        took: Duration,
        restarts: Option<&str>,
    ) {
        if self.options.run.stats {
            run::tell_stats(
                &executed.session,
                Instant::now().checked_sub(took).unwrap_or_else(Instant::now),
            );
        }
        let is_plan = executed.session.mode() == Mode::Plan;
        let plan = is_plan.then(|| executed.plan());
        let watched = &mut self.scripts.all[script];
        if restarts.is_none() {
            watched.remember(RunResults::new(output, plan.as_ref()));
        }
        match plan {
            None => run::tell_changes(&executed.session),
            Some(_) if restarts.is_some() => {}
            Some(plan) => {
                match &watched.plan {
                    None => {
                        let planning = &self.options.run.planning;
                        if let Err(error) =
                            run::print_plan(&plan, planning, self.options.run.format)
                        {
                            tell(&error);
                        }
                        if !plan.is_empty() && plan.incomplete.is_none() {
                            say(PLAN_ONLY);
                        }
                    }
                    Some(_) if plan.incomplete.is_some() => {
                        say("the plan is incomplete, so it is not compared with the last one");
                    }
                    Some(before) => print(&comparison::plans(before, &plan)),
                }
                if plan.incomplete.is_none() {
                    watched.plan = Some(plan);
                }
            }
        }
        if let Err(error) = &executed.result
            && (error.kind != Kind::Interrupted || !error.hints.is_empty())
            && restarts.is_none()
        {
            tell(error);
        }
        let result = executed.result.as_ref().map(|code| *code);
        self.tell_end(script, result, took, restarts);
    }

    pub(super) fn tell_end(
        &mut self,
        script: usize,
        result: std::result::Result<u8, &Error>,
        took: Duration,
        restarts: Option<&str>,
    ) {
        let name = self.scripts.all[script].name();
        let took = format::time(took.as_secs_f64());
        if let Some(why) = restarts {
            say(&format!("{name}: stopped after {took}, because {why}"));
            return;
        }
        self.runs += 1;
        self.last = Some(script);
        let code = match result {
            Ok(code) => code,
            Err(error) => error.kind.exit_code(),
        };
        self.worst = self.worst.max(code);
        say(&match result {
            Ok(0) => format!("{name}: done in {took}"),
            Ok(code) => format!("{name}: ended with exit code {code} after {took}"),
            Err(error) if error.kind == Kind::Interrupted => {
                format!("{name}: stopped after {took}")
            }
            Err(_) => format!("{name}: failed after {took}"),
        });
    }
}

/// Shows styled text, without styles if there is no terminal.
pub(super) fn print(text: &str) {
    terminal::aside(|| terminal::show(text));
}
