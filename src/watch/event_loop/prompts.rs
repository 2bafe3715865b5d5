//! Keys, and the questions that they answer.

use std::io::Write;
use std::sync::mpsc::Sender;

use super::Watch;
use super::report::print;
use crate::escape;
use crate::ui::format::count;
use crate::ui::terminal::{self, say};

const KEYS: &str =
    "r: run all again   p: pause, or go on   d: what is different from the last run   q: quit";

impl Watch {
    pub(super) fn ask(&mut self, question: &str, answer: Sender<bool>) {
        if self.ends.is_some() {
            return;
        }
        let question = format!("{question} [y/N] ");
        terminal::aside(|| {
            // A question that cannot be shown stays open until Ctrl-C.
            let _ = std::io::stderr().write_all(&escape::printable(question.as_bytes()));
        });
        self.asked = Some(answer);
    }

    pub(super) fn press(&mut self, key: char) {
        if let Some(answer) = self.asked.take() {
            let yes = match key {
                'y' | 'Y' => true,
                'n' | 'N' | '\r' | '\n' | '\x1b' => false,
                _ => {
                    self.asked = Some(answer);
                    return;
                }
            };
            say(if yes { "yes" } else { "no" });
            // The asking script may have ended.
            let _ = answer.send(yes);
            return;
        }
        match key {
            'r' => {
                for script in 0..self.scripts.all.len() {
                    if !self.queue.iter().any(|(queued, _)| *queued == script) {
                        self.queue.push_back((script, "run again".into()));
                    }
                }
                if self.is_paused {
                    say("paused: p goes on");
                }
            }
            'p' => {
                self.is_paused = !self.is_paused;
                if self.is_paused {
                    say("paused: p goes on, and looks at what has changed");
                } else {
                    say("going on");
                    self.check_changes();
                }
            }
            'd' => self.show_difference(),
            'q' => self.end(0),
            'h' | '?' => say(KEYS),
            // Enter leaves a blank line, as in other programs.
            '\r' | '\n' => say(""),
            _ => {}
        }
    }

    fn show_difference(&self) {
        let Some(watched) = self.last.map(|script| &self.scripts.all[script]) else {
            say("nothing has run yet");
            return;
        };
        let name = watched.name();
        let (Some(now), Some(before)) = &watched.runs else {
            say(&format!("{name}: it has run once, so there is nothing to compare it with"));
            return;
        };
        let text = now.against(before);
        if text.is_empty() {
            let changes = count(now.plan.len() as u64, "planned change");
            say(&format!("{name}: as in the run before ({changes})"));
        } else {
            say(&format!("{name}: what is different from the run before"));
            print(&text);
        }
    }
}
