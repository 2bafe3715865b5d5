//! `/metrics`: metrics of the scheduler in the text format of Prometheus. Counters start at 0 with
//! the scheduler, as Prometheus expects.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::schedule::record::{ExecutionOutcome, JobStatus, Snapshot};

pub(super) use prometheus_text::CONTENT_TYPE;

/// Metrics of a snapshot.
pub(super) fn text(now: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(now)));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Collected(Snapshot);

/// Labels of one sample.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Collected {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let now = &self.0;
        let mut out = Samples(encoder);
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        out.gauge("iamlua_build_info", "The version of the program", [(version, 1.0)])?;
        out.gauge(
            "process_start_time_seconds",
            "When the scheduler was started, in seconds since 1970",
            [(Vec::new(), seconds(now.started))],
        )?;
        self.jobs(&mut out)?;
        let calls = now.calls.iter().map(|(action, n)| (vec![("action", action.as_str())], *n));
        out.counter("iamlua_calls", "Calls that were sent, by AWS action", calls)?;
        let throttled = [(Vec::new(), now.throttled)];
        out.counter("iamlua_throttled", "Calls that AWS has throttled", throttled)?;
        let quota = now.quota.iter();
        let account = |name| vec![("account", name)];
        let used =
            quota.clone().map(|quota| (account(quota.account.as_str()), float(quota.profiles)));
        out.gauge("iamlua_instance_profiles", "Instance profiles in the account", used)?;
        let most =
            quota.filter_map(|quota| Some((account(quota.account.as_str()), float(quota.quota?))));
        out.gauge(
            "iamlua_instance_profiles_quota",
            "How many instance profiles there may be in the account",
            most,
        )
    }
}

impl Collected {
    fn jobs(&self, out: &mut Samples<'_>) -> fmt::Result {
        let now = &self.0;
        // Outcomes without an execution are 0, so that the first one is an increase.
        let runs = now.jobs.iter().flat_map(|job| {
            ExecutionOutcome::ALL.into_iter().map(move |outcome| {
                let n = now.ended.get(&(job.name.clone(), outcome)).copied().unwrap_or(0);
                (vec![("job", job.name.as_str()), ("outcome", outcome.name())], n)
            })
        });
        out.counter("iamlua_job_runs", "Executions that have ended, by outcome", runs)?;
        let duration = now
            .jobs
            .iter()
            .map(|job| (label(job), now.seconds.get(&job.name).copied().unwrap_or(0.0)));
        out.counter(
            "iamlua_job_run_seconds",
            "How long executions took in all, in seconds",
            duration,
        )?;
        let changes = now
            .jobs
            .iter()
            .map(|job| (label(job), now.changes.get(&job.name).copied().unwrap_or(0)));
        out.counter("iamlua_changes", "Changes that executions have made or planned", changes)?;
        let of = |what: fn(&JobStatus) -> Option<f64>| {
            now.jobs.iter().filter_map(move |job| Some((label(job), what(job)?)))
        };
        out.gauge(
            "iamlua_job_last_run_timestamp_seconds",
            "When the last execution ended, in seconds since 1970",
            of(|job| job.last.as_ref()?.ended.map(seconds)),
        )?;
        out.gauge(
            "iamlua_job_last_success_timestamp_seconds",
            "When an execution last did all of its work, in seconds since 1970",
            of(|job| job.last_success.map(seconds)),
        )?;
        out.gauge(
            "iamlua_job_next_run_timestamp_seconds",
            "When it runs next, in seconds since 1970",
            of(|job| job.next.map(seconds)),
        )?;
        out.gauge(
            "iamlua_job_running",
            "Whether it is running: 1, or 0",
            of(|job| Some(flag(job.running.is_some()))),
        )?;
        out.gauge(
            "iamlua_job_broken",
            "Whether its runbook cannot run as it is: 1, or 0",
            of(|job| Some(flag(job.broken.is_some()))),
        )
    }
}

fn label(job: &JobStatus) -> Labels<'_> {
    vec![("job", job.name.as_str())]
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[allow(clippy::cast_precision_loss, reason = "no account has 2^53 profiles")]
fn float(n: u64) -> f64 {
    n as f64
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of these centuries are exact")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// Encoder of samples, one metric after the other.
struct Samples<'a>(DescriptorEncoder<'a>);

impl Samples<'_> {
    fn gauge<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.write(name, help, MetricType::Gauge, samples)
    }

    /// Writes a counter. `name` is without the suffix `_total`.
    fn counter<'l, N>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, N)>,
    ) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.write(name, help, MetricType::Counter, samples)
    }

    fn write<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl Iterator<Item = (Labels<'l>, M)>,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        // A metric without samples is left out.
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                return value.encode(metric);
            }
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
