//! Fault injection: the settings ("knobs"), their written form, and the random numbers and token
//! bucket that apply them.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};

use super::fault_targets::Targets;
use super::random::Random;

/// Injected faults. The default injects none.
///
/// Written as `latency=20ms,throttle=50/100,error=1%,lost=1%,lag=2s,seed=7`, each knob at most
/// once:
///
/// | knob | meaning |
/// | --- | --- |
/// | `latency` | delay of every call (throttled calls are not delayed) |
/// | `throttle` | token bucket, calls per second / burst; beyond it 400 `Throttling` |
/// | `error` | share of calls that fail with 500 `ServiceFailure` before they have any effect |
/// | `lost` | share of calls that are executed but never answered |
/// | `lag` | delay until writes become visible to reads |
/// | `seed` | seed of the random numbers, for reproducible faults |
/// | `deny` | calls that are refused for lack of permission |
/// | `fail` | calls that always fail with the service's own error of status 500 |
/// | `choke` | calls that are always throttled |
/// | `cut` | calls whose successful answers break off in the middle |
/// | `hold` | calls that wait until they are released or the faults are changed |
///
/// The last five take calls such as `deny=ec2:*@eu-west-1+batch`: see [`Targets`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Delay of every call.
    pub latency: Duration,
    /// Rate limit.
    pub throttle: Option<Throttle>,
    /// Share of calls that fail before they have any effect, 0 to 1.
    pub error: f64,
    /// Share of calls that are executed but never answered, 0 to 1.
    pub lost: f64,
    /// Delay until reads see a write.
    pub lag: Duration,
    /// Seed for `error` and `lost`. The default is
    /// [`EmulatorSettings::seed`](super::EmulatorSettings::seed).
    pub seed: Option<u64>,
    /// Calls that are refused for lack of permission.
    pub deny: Targets,
    /// Calls that always fail.
    pub fail: Targets,
    /// Calls that are always throttled.
    pub choke: Targets,
    /// Calls whose answers break off.
    pub cut: Targets,
    /// Calls that wait until they are released.
    pub hold: Targets,
}

/// Token bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    /// Sustained rate, in calls per second.
    pub rate: f64,
    /// Capacity of the bucket, in calls.
    pub burst: f64,
}

const KNOBS: [(&str, &str); 11] = [
    ("latency", "a duration such as latency=20ms"),
    ("throttle", "calls a second and burst, such as throttle=50/100"),
    ("error", "a percentage such as error=1%"),
    ("lost", "a percentage such as lost=0.5%"),
    ("lag", "a duration such as lag=2s"),
    ("seed", "a whole number such as seed=7"),
    ("deny", "calls such as deny=ec2:*@eu-west-1+batch"),
    ("fail", "calls such as fail=eks@eu-west-1"),
    ("choke", "calls such as choke=ec2:DescribeInstances"),
    ("cut", "calls such as cut=*@eu-west-1"),
    ("hold", "calls such as hold=iam:CreateInstanceProfile"),
];

impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut faults = Self::default();
        let mut seen = Vec::new();
        for setting in text.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let (knob, value) = setting.split_once('=').unwrap_or((setting, ""));
            let (knob, value) = (knob.trim(), value.trim());
            let Some((_, form)) = KNOBS.iter().find(|(known, _)| *known == knob) else {
                return Err(unknown_knob(knob));
            };
            if seen.contains(&knob) {
                return Err(Error::usage(format!("the fault `{knob}` is given twice")));
            }
            seen.push(knob);
            if let Some(targets) = faults.targets(knob)
                && !value.is_empty()
            {
                *targets = Targets::parse(knob, value)?;
                continue;
            }
            faults.set(knob, value).ok_or_else(|| {
                Error::usage(format!("the fault `{knob}` cannot be `{value}`: it must be {form}"))
            })?;
        }
        Ok(faults)
    }
}

impl Faults {
    /// Targets of a knob.
    fn targets(&mut self, knob: &str) -> Option<&mut Targets> {
        match knob {
            "deny" => Some(&mut self.deny),
            "fail" => Some(&mut self.fail),
            "choke" => Some(&mut self.choke),
            "cut" => Some(&mut self.cut),
            "hold" => Some(&mut self.hold),
            _ => None,
        }
    }

    /// Sets one knob; `None` if the value is malformed.
    fn set(&mut self, knob: &str, value: &str) -> Option<()> {
        match knob {
            "latency" => self.latency = duration(value)?,
            "throttle" => {
                let (rate, burst) = value.split_once('/')?;
                let (rate, burst) = (number(rate)?, number(burst)?);
                // A bucket that never holds one whole token would refuse every call.
                self.throttle = (burst >= 1.0).then_some(Throttle { rate, burst });
                self.throttle?;
            }
            "error" => self.error = share(value)?,
            "lost" => self.lost = share(value)?,
            "lag" => self.lag = duration(value)?,
            "seed" => self.seed = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

fn unknown_knob(knob: &str) -> Error {
    let error = Error::usage(format!("there is no fault `{knob}`"));
    let names = KNOBS.map(|(name, _)| name);
    match closest(knob, names) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint(format!("the faults are {}", names.join(", "))),
    }
}

/// Name most similar to `text`, for a suggestion; `None` if none is similar.
pub(super) fn closest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&text.to_ascii_lowercase(), name), name))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn share(text: &str) -> Option<f64> {
    let percent = number(text.strip_suffix('%')?)?;
    (percent <= 100.0).then_some(percent / 100.0)
}

fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (amount, unit) = text.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number(amount)? * seconds).ok()
}

impl fmt::Display for Faults {
    /// Written form: only knobs with an effect; empty if no fault is injected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = Vec::new();
        if !self.latency.is_zero() {
            settings.push(format!("latency={}ms", self.latency.as_secs_f64() * 1e3));
        }
        if let Some(throttle) = self.throttle {
            settings.push(format!("throttle={}/{}", throttle.rate, throttle.burst));
        }
        if self.error > 0.0 {
            settings.push(format!("error={}%", self.error * 100.0));
        }
        if self.lost > 0.0 {
            settings.push(format!("lost={}%", self.lost * 100.0));
        }
        if !self.lag.is_zero() {
            settings.push(format!("lag={}ms", self.lag.as_secs_f64() * 1e3));
        }
        if let Some(seed) = self.seed {
            settings.push(format!("seed={seed}"));
        }
        for (knob, targets) in [
            ("deny", &self.deny),
            ("fail", &self.fail),
            ("choke", &self.choke),
            ("cut", &self.cut),
            ("hold", &self.hold),
        ] {
            if !targets.is_empty() {
                settings.push(format!("{knob}={targets}"));
            }
        }
        f.write_str(&settings.join(","))
    }
}

/// State of the injected faults: random numbers and token bucket.
#[derive(Debug)]
pub(super) struct FaultState {
    pub(super) faults: Faults,
    random: Random,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

impl FaultState {
    pub(super) fn new(faults: Faults, seed: Option<u64>, clock: &Clock) -> Self {
        let tokens = faults.throttle.map_or(0.0, |throttle| throttle.burst);
        let random = Random::new(faults.seed.or(seed));
        let bucket = Mutex::new(Bucket { tokens, filled: clock.elapsed() });
        Self { faults, random, bucket }
    }

    /// Takes a token from the bucket; true if it was empty.
    pub(super) fn throttles(&self, clock: &Clock) -> bool {
        let Some(throttle) = self.faults.throttle else { return false };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.elapsed();
        let refill = now.saturating_sub(bucket.filled).as_secs_f64() * throttle.rate;
        bucket.tokens = (bucket.tokens + refill).min(throttle.burst);
        bucket.filled = bucket.filled.max(now);
        let short = bucket.tokens < 1.0;
        if !short {
            bucket.tokens -= 1.0;
        }
        short
    }

    /// Random decision of the fault `error` for this call.
    pub(super) fn fails(&self) -> bool {
        self.faults.error > 0.0 && self.random.happens(self.faults.error)
    }

    /// Random decision of the fault `lost` for this call.
    pub(super) fn loses(&self) -> bool {
        self.faults.lost > 0.0 && self.random.happens(self.faults.lost)
    }
}
