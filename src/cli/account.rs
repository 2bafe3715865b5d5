//! `iamlua account`: administration of the local account.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Subcommand;

use crate::app::run;
use crate::emulator::{self, Contents, Emulator, Faults, Quota};
use crate::error::{Error, Result};
use crate::http_server::AllowedHost;
use crate::ui::terminal;
use crate::{files, state};

/// `iamlua account`.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub enum AccountCommand {
    /// Serve the local account to any AWS client on loopback, until interrupted.
    Serve {
        /// Port; 0 picks a free one.
        #[arg(long, default_value_t = 7100)]
        port: u16,
        /// Fault injection: latency=20ms,lost=1%,…
        ///
        /// latency=20ms,throttle=50/100,error=1%,lost=1%,lag=2s,seed=7. Calls that always fail:
        /// deny=ec2:*@eu-west-1+batch (access denied), fail=… (500), choke=… (throttled), cut=…
        /// (connection lost). hold=… keeps calls waiting until `account release`.
        #[arg(long, value_name = "LIST", value_parser = super::faults)]
        faults: Option<Faults>,
        /// Accept this Host header too, or all names below it (.NAME). By default only names and
        /// addresses of this machine are accepted.
        #[arg(long, value_name = "NAME")]
        allow_host: Vec<AllowedHost>,
    },
    /// Reset it to the example account.
    Reset {
        /// Reset it to an empty account.
        #[arg(long)]
        empty: bool,
    },
    /// Export it as JSON.
    Export {
        /// File; default: standard output.
        file: Option<PathBuf>,
    },
    /// Replace it with a JSON export, atomically.
    Import {
        /// File, or `-` for standard input.
        file: PathBuf,
    },
    /// Show its quotas, or set some: profiles=5000 roles=5000 policies-per-role=20.
    ///
    /// None can be less than what is there.
    Quota {
        /// Quotas to set.
        #[arg(value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
    /// List the calls that wait because of the fault hold=….
    Held,
    /// Let the calls go that wait because of the fault hold=….
    ///
    /// Calls that are made later wait as before.
    Release,
}

impl AccountCommand {
    /// Runs the command.
    pub fn execute(self) -> Result<u8> {
        match self {
            Self::Serve { port, faults, allow_host } => {
                serve(port, faults.unwrap_or_default(), allow_host)
            }
            Self::Reset { empty } => {
                let contents = if empty { Contents::Empty } else { Contents::Example };
                open_quietly()?.reset(contents)?;
                terminal::say(&format!(
                    "the local account is {}",
                    if empty { "empty" } else { "the example account" }
                ));
                Ok(0)
            }
            Self::Export { file } => export(file),
            Self::Import { file } => import(&file),
            Self::Quota { set } => quota(&set),
            Self::Held => {
                list(&open()?.held_calls()?)?;
                Ok(0)
            }
            Self::Release => release(),
        }
    }
}

fn open() -> Result<Emulator> {
    run::open_local(Faults::default())
}

/// Opens the account without the notice about the example account, for commands that replace it.
fn open_quietly() -> Result<Emulator> {
    Emulator::open(&state::local_account()?, emulator::EmulatorSettings::default())
}

fn serve(port: u16, faults: Faults, hosts: Vec<AllowedHost>) -> Result<u8> {
    let local = run::open_local(faults)?;
    let runtime = run::runtime()?;
    runtime.block_on(async {
        let listener = emulator::bind(port).await?;
        let address = listener.local_addr().map_err(|error| Error::io("no address", error))?;
        writeln!(io::stdout(), "http://{address}")
            .map_err(|error| Error::io("cannot write to standard output", error))?;
        terminal::say(&format!("the local account answers there; try: AWS_ENDPOINT_URL=http://{address} AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \
             AWS_DEFAULT_REGION=us-east-1 aws iam list-instance-profiles"));
        let _ = io::stdout().flush();
        let serving = emulator::Serving { hosts, ..Default::default() };
        emulator::serve_with(local, listener, interrupted(), serving).await
    })?;
    Ok(0)
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn export(file: Option<PathBuf>) -> Result<u8> {
    let local = open()?;
    match file {
        None => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            local.export(&mut out)?;
            out.flush().map_err(|error| Error::io("cannot write to standard output", error))?;
        }
        Some(path) => {
            let mut failure = None;
            files::write_whole_with(&path, files::PRIVATE, |out| {
                local.export(out).map_err(|error| {
                    let said = io::Error::other(error.to_string());
                    failure = Some(error);
                    said
                })
            })
            .map_err(|error| {
                failure
                    .unwrap_or_else(|| Error::io(format!("cannot write {}", path.display()), error))
            })?;
        }
    }
    Ok(0)
}

fn import(file: &PathBuf) -> Result<u8> {
    let source: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file);
        Box::new(
            opened.map_err(|error| Error::io(format!("cannot read {}", file.display()), error))?,
        )
    };
    let summary = open_quietly()?.import(io::BufReader::new(source))?;
    terminal::say(&format!(
        "imported {} profiles and {} roles into account {}",
        summary.profiles, summary.roles, summary.account_id
    ));
    Ok(0)
}

/// Writes calls to standard output, one per line.
fn list(calls: &[String]) -> Result<()> {
    let text: String = calls.iter().flat_map(|call| [call, "\n"]).collect();
    terminal::print(&text)
}

fn release() -> Result<u8> {
    let calls = open()?.release_calls()?;
    list(&calls)?;
    if calls.is_empty() {
        terminal::say("no call waits: calls do after a start with --faults hold=iam:TagRole");
    }
    Ok(0)
}

fn quota(set: &[String]) -> Result<u8> {
    let local = open()?;
    let held = local.held()?;
    let mut wanted = Vec::new();
    for pair in set {
        let wrong = || Error::usage(format!("{pair:?} is not NAME=VALUE, such as profiles=5000"));
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let (quota, least, what) = match name {
            "profiles" => (Quota::Profiles, held.profiles, "in the account"),
            "roles" => (Quota::Roles, held.roles, "in the account"),
            "policies-per-role" => {
                (Quota::PoliciesPerRole, held.policies_per_role, "attached to one role")
            }
            _ => {
                return Err(Error::usage(format!("there is no quota {name:?}"))
                    .hint("profiles, roles, policies-per-role"));
            }
        };
        let value: u32 = value.parse().map_err(|_| wrong())?;
        if value < least {
            return Err(Error::usage(format!("{pair} is too little: {least} are {what}"))
                .hint(format!("{name}={least} lets no more be made")));
        }
        wanted.push((quota, value));
    }
    for (quota, value) in wanted {
        local.set_quota(quota, value)?;
    }
    let quotas = local.quotas()?;
    let text = format!(
        "profiles           {}\nroles              {}\npolicies-per-role  {}\n",
        quotas.profiles, quotas.roles, quotas.policies_per_role
    );
    terminal::print(&text)?;
    Ok(0)
}
