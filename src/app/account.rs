//! Where one is: which account, local or on AWS, and what becomes of changes there. The prompt says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

use crate::app::run::TargetConfig;
use crate::error::Result;
use crate::session::{Gate, Mode};
use crate::ui::terminal;

/// The account that calls go to.
#[derive(Debug)]
pub struct PromptAccount {
    is_local: bool,
    /// What the operator called it, until the account has said who it is.
    called: String,
    account: Arc<OnceLock<Account>>,
    has_answered: Arc<AtomicBool>,
}

/// An account, as it says itself.
#[derive(Debug)]
struct Account {
    id: Option<String>,
    alias: Option<String>,
}

/// The account's name takes at most so many columns.
const MOST: usize = 32;

impl PromptAccount {
    /// The place that a gate leads to.
    #[must_use]
    pub fn new(against: &TargetConfig) -> Self {
        let (is_local, called) = match against {
            TargetConfig::Local(_) => (true, String::new()),
            TargetConfig::Aws(aws) => {
                let host = aws.endpoint_url.as_ref().map(|url| {
                    url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned()
                });
                let called = aws.profile.clone().or(host);
                (false, called.unwrap_or_else(|| "?".to_owned()))
            }
        };
        Self { is_local, called, account: Arc::default(), has_answered: Arc::default() }
    }

    /// The account that a gate leads to, once it has said who it is.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn of(against: &TargetConfig, gate: &Gate) -> Result<Self> {
        let (id, alias) = gate.account().await?;
        let place = Self::new(against);
        // Nobody else answers.
        let _ = place.account.set(Account { id, alias });
        Ok(place)
    }

    /// Asks the account who it is, in the background; then does what is to be done there. If it cannot be reached, says why.
    pub fn ask<F>(&self, gate: Gate, then: impl FnOnce(Gate) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (account, has_answered) = (Arc::clone(&self.account), Arc::clone(&self.has_answered));
        tokio::spawn(async move {
            let answer = gate.account().await.map(|(id, alias)| Account { id, alias });
            match answer {
                Ok(answer) => {
                    // Nobody else answers.
                    let _ = account.set(answer);
                    has_answered.store(true, Ordering::SeqCst);
                    then(gate).await;
                }
                Err(error) => {
                    terminal::say(error.describe().trim_end());
                    has_answered.store(true, Ordering::SeqCst);
                }
            }
        });
    }

    /// Waits for the account's answer, for a while.
    pub fn wait(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while !self.has_answered.load(Ordering::SeqCst) && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Whether it is the local account.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.is_local
    }

    /// The account in words: "the local account 123456789012", "AWS account 123456789012 (acme)".
    #[must_use]
    pub fn describe(&self) -> String {
        let place = if self.is_local { "the local account" } else { "AWS account" };
        match self.account.get() {
            Some(Account { id, alias }) => {
                let id = id.as_deref().unwrap_or("(unknown)");
                let alias = alias.as_ref().map(|alias| format!(" ({alias})"));
                format!("{place} {id}{}", alias.unwrap_or_default())
            }
            _ if self.is_local => place.into(),
            _ => format!("AWS ({})", self.called),
        }
    }

    /// The prompt, plain and in colours, on a screen of that many columns. `planned` is how many changes wait to be made.
    #[must_use]
    pub fn prompt(&self, mode: Mode, planned: usize, columns: u16) -> (String, String) {
        let target = if self.is_local { "local" } else { "aws" };
        let account = match self.account.get() {
            Some(account) => account.alias.as_ref().or(account.id.as_ref()).cloned(),
            _ => None,
        };
        let account = account.unwrap_or_else(|| self.called.clone());
        let word = match mode {
            Mode::Apply => "APPLY".to_owned(),
            Mode::Plan if planned > 0 => format!("plan+{planned}"),
            Mode::Plan | Mode::ReadOnly => mode.name().to_owned(),
        };
        // On a narrow screen what is typed needs the room, and the mode matters most.
        let room = usize::from(columns / 2).saturating_sub(target.len() + word.len() + 4);
        let account = shortened(&account, room.min(MOST));
        let account = if account.is_empty() { account } else { format!("{account} ") };
        let color = match mode {
            Mode::Apply if self.is_local => AnsiColor::Yellow.on_default(),
            Mode::Apply => AnsiColor::Red.on_default().bold(),
            Mode::Plan => AnsiColor::Cyan.on_default(),
            Mode::ReadOnly => AnsiColor::Green.on_default(),
        };
        let plain = Style::new();
        (
            format!("{target} {account}{word}> "),
            format!("{plain}{target} {account}{plain:#}{color}{word}{color:#}> "),
        )
    }
}

/// A name in so many columns, with its end cut off where it is longer; nothing where that would say nothing.
fn shortened(name: &str, most: usize) -> String {
    const LEAST: usize = 4;
    // Aliases and ids are ASCII; what else an endpoint may send counts at least as much.
    let visible: String = name.chars().filter(|c| !c.is_control()).collect();
    match visible.chars().count() {
        n if n <= most => visible,
        _ if most < LEAST => String::new(),
        _ => visible.chars().take(most - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::run::AwsTarget;

    #[test]
    fn the_prompt_says_where_one_is_and_leaves_room_to_type() {
        let local = PromptAccount::new(&TargetConfig::Local(crate::emulator::Faults::default()));
        assert_eq!(local.prompt(Mode::Apply, 0, 80).0, "local APPLY> ");
        let account = Account { id: Some("123456789012".into()), alias: Some("acme".repeat(20)) };
        local.account.set(account).expect("the first answer");
        let prompt = |columns| local.prompt(Mode::Plan, 3, columns).0;
        assert_eq!(prompt(200), format!("local {}acm… plan+3> ", "acme".repeat(7)));
        assert_eq!(prompt(40), "local acme… plan+3> ");
        assert_eq!(prompt(20), "local plan+3> ");
        let profile = AwsTarget { profile: Some("prod".into()), ..AwsTarget::default() };
        let aws = PromptAccount::new(&TargetConfig::Aws(profile));
        let (plain, styled) = aws.prompt(Mode::Apply, 0, 80);
        assert_eq!(plain, "aws prod APPLY> ");
        assert!(
            styled.contains("\x1b[31mAPPLY") || styled.contains("\x1b[1m\x1b[31mAPPLY"),
            "{styled:?}"
        );
    }
}
