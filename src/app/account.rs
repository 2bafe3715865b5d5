//! Account of the REPL, local or on AWS, and the prompt that names it and the mode.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

use crate::app::run::TargetConfig;
use crate::error::Result;
use crate::session::{Gate, Mode};
use crate::ui::terminal;

/// Account that the calls go to.
#[derive(Debug)]
pub struct PromptAccount {
    is_local: bool,
    /// Name that the operator gave, until the account is identified.
    called: String,
    account: Arc<OnceLock<IdentifiedAccount>>,
    has_answered: Arc<AtomicBool>,
}

/// Identified account.
#[derive(Debug)]
struct IdentifiedAccount {
    id: Option<String>,
    alias: Option<String>,
}

/// Maximum width of the account's name in columns.
const MAX_NAME: usize = 32;

impl PromptAccount {
    /// Account of this target, before it is identified.
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

    /// Account that a gate reaches, identified.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn of(against: &TargetConfig, gate: &Gate) -> Result<Self> {
        let (id, alias) = gate.account().await?;
        let place = Self::new(against);
        // Nothing else sets it.
        let _ = place.account.set(IdentifiedAccount { id, alias });
        Ok(place)
    }

    /// Identifies the account in the background, then runs `then`. If the account cannot be
    /// reached, reports the error.
    pub fn ask<F>(&self, gate: Gate, then: impl FnOnce(Gate) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (account, has_answered) = (Arc::clone(&self.account), Arc::clone(&self.has_answered));
        tokio::spawn(async move {
            let answer = gate.account().await.map(|(id, alias)| IdentifiedAccount { id, alias });
            match answer {
                Ok(answer) => {
                    // Nothing else sets it.
                    let _ = account.set(answer);
                    has_answered.store(true, Ordering::SeqCst);
                    then(gate).await;
                }
                Err(error) => {
                    terminal::tell(&error);
                    has_answered.store(true, Ordering::SeqCst);
                }
            }
        });
    }

    /// Waits for the identification of the account, up to a timeout.
    pub fn wait(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while !self.has_answered.load(Ordering::SeqCst) && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Check for the local account.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.is_local
    }

    /// Description in words: "the local account 123456789012", "AWS account 123456789012 (acme)".
    #[must_use]
    pub fn describe(&self) -> String {
        let place = if self.is_local { "the local account" } else { "AWS account" };
        match self.account.get() {
            Some(IdentifiedAccount { id, alias }) => {
                let id = id.as_deref().unwrap_or("(unknown)");
                let alias = alias.as_ref().map(|alias| format!(" ({alias})"));
                format!("{place} {id}{}", alias.unwrap_or_default())
            }
            _ if self.is_local => place.into(),
            _ => format!("AWS ({})", self.called),
        }
    }

    /// Prompt, plain and in colours, for a screen of that many columns. `planned` is the number of
    /// planned changes.
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
        // On a narrow screen the entry needs the space, and the mode matters most.
        let room = usize::from(columns / 2).saturating_sub(target.len() + word.len() + 4);
        let account = shortened(&account, room.min(MAX_NAME));
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

/// Name, truncated to that many columns; empty where too little would remain.
fn shortened(name: &str, most: usize) -> String {
    const MIN_NAME: usize = 4;
    // Aliases and ids are ASCII; any other character from an endpoint counts at least as much.
    let visible: String = name.chars().filter(|c| !c.is_control()).collect();
    match visible.chars().count() {
        n if n <= most => visible,
        _ if most < MIN_NAME => String::new(),
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
        let account =
            IdentifiedAccount { id: Some("123456789012".into()), alias: Some("acme".repeat(20)) };
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
