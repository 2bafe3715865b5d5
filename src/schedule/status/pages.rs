//! Pages: all jobs, one job with its executions, one execution.

use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Changes;
use super::moments::{changes, duration, moment, outcome};
use crate::schedule::record::{Execution, ExecutionOutcome, JobStatus, Quota, Snapshot};
use crate::session::Mode;
use crate::ui::format::{count, number};
use crate::ui::html::{
    self, Column, Html, HtmlPage, all, element, facts, link, long_text, spoken, table, text,
    text_element,
};

/// Program that the pages are of.
const SOURCE: &str = "iamlua schedule";
const VERSION: &str = concat!("iamlua ", env!("CARGO_PKG_VERSION"));

/// All characters except the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn job_address(name: &str) -> String {
    format!("/jobs/{}", utf8_percent_encode(name, ESCAPED))
}

fn run_address(run: &str) -> String {
    format!("/runs/{}", utf8_percent_encode(run, ESCAPED))
}

/// Page with the frame of all: links to the overview and to the live or the still version of this
/// page, at `address`. A page that reloads by itself interrupts whoever reads or listens to it, so
/// it does only if its reader has asked for that.
fn frame(
    heading: &str,
    address: &str,
    is_live: bool,
    now: &Snapshot,
    content: Vec<Html>,
) -> HtmlPage {
    let other = if is_live {
        link(address, "Stop refreshing")
    } else {
        link(&format!("{address}?live"), "Refresh every 15 s")
    };
    let home = if address == "/" {
        element("a", &[("href", "/"), ("aria-current", "page")], [text("All jobs")])
    } else {
        link("/", "All jobs")
    };
    let at = now.now.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z");
    HtmlPage {
        heading: heading.to_owned(),
        source: SOURCE,
        links: vec![home, other],
        is_live,
        content: all(content),
        footer: format!("As of {at}. {VERSION}"),
        ..HtmlPage::default()
    }
}

/// Time zone of a job.
fn zone(job: &JobStatus) -> TimeZone {
    job.timing.as_ref().map_or(TimeZone::UTC, crate::cron::Timing::zone)
}

/// Jobs in the order in which an operator needs them: failing, broken, running, others.
fn by_urgency(now: &Snapshot) -> Vec<&JobStatus> {
    let mut jobs: Vec<_> = now.jobs.iter().collect();
    jobs.sort_by_key(|job| match job {
        job if job.failure().is_some() => 0,
        job if job.broken.is_some() => 1,
        job if job.running.is_some() => 2,
        _ => 3,
    });
    jobs
}

/// Page of all jobs.
pub(super) fn overview(now: &Snapshot, is_live: bool) -> HtmlPage {
    let broken: Vec<_> = now.jobs.iter().filter(|job| job.broken.is_some()).collect();
    let failing = now.jobs.iter().filter_map(|job| Some((job, job.failure()?)));
    let failing: Vec<_> = failing.collect();
    let running: Vec<_> = now.jobs.iter().filter_map(|job| job.running.as_ref()).collect();
    let named = |n: usize, name: &str| (n > 0).then(|| format!("{} {name}", number(n as u64)));
    let trouble: Vec<_> =
        named(failing.len(), "failing").into_iter().chain(named(broken.len(), "broken")).collect();
    let mut content = Vec::new();
    if now.is_ending {
        let text =
            "The scheduler is shutting down: nothing new starts, and running jobs are ended.";
        content.push(element("div", &[("class", "alert")], [text_element("p", text)]));
    }
    let mut summary = vec![count(now.jobs.len() as u64, "job")];
    summary.extend(trouble.iter().cloned());
    summary.push(format!("{} running", number(running.len() as u64)));
    // The state in a sentence, which a screen reader says when it changes.
    content.push(element("p", &[("role", "status")], [text(summary.join(", "))]));
    content.push(facts([
        ("Mode", mode(now.mode)),
        ("Account", text(now.account.as_deref().unwrap_or("not known yet"))),
    ]));
    if !failing.is_empty() {
        content.push(text_element("h2", "Failing jobs"));
        content.extend(failing.into_iter().map(|(job, last)| {
            let name = element("h3", &[], [link(&job_address(&job.name), &job.name)]);
            element("div", &[("class", "alert")], [name, failure(job, last, now)])
        }));
    }
    if !broken.is_empty() {
        content.push(text_element("h2", "Broken runbooks"));
        content.extend(broken.into_iter().map(|job| {
            let name = element("h3", &[], [link(&job_address(&job.name), &job.name)]);
            element("div", &[("class", "alert")], [name, breakage(job)])
        }));
    }
    if !running.is_empty() {
        content.push(text_element("h2", "Running"));
        let rows = running.iter().map(|execution| {
            vec![
                link(&job_address(&execution.job), &execution.job),
                link(&run_address(&execution.run), &execution.run),
                moment(execution.started, now.now, &TimeZone::system()),
                duration(execution, now.now),
            ]
        });
        let columns = [
            Column::text("Job"),
            Column::text("Run"),
            Column::text("Started"),
            Column::number("Duration"),
        ];
        content.push(table("Running jobs", &columns, rows.collect()));
    }
    content.push(text_element("h2", "Jobs"));
    if now.jobs.is_empty() {
        let text = "No jobs. A runbook is a job if its manifest has `schedule` or `every`.";
        content.push(text_element("p", text));
    } else {
        let columns = [
            Column::text("Job"),
            Column::text("Schedule"),
            Column::text("Next run"),
            Column::text("Last run"),
            Column::number("Duration"),
            Column::number("Changes"),
        ];
        let rows = by_urgency(now).into_iter().map(|job| job_row(job, now));
        content.push(table("All jobs, failing ones first", &columns, rows.collect()));
    }
    if let Some(quota) = &now.quota {
        content.push(text_element("h2", "Quota of instance profiles"));
        content.push(quota_of(quota));
    }
    content.push(text_element("h2", "Calls"));
    content.push(calls(now));
    content.push(facts([("Scheduler started", moment(now.started, now.now, &TimeZone::system()))]));
    let mut page = frame("Scheduler", "/", is_live, now, content);
    // The tab of a browser shows the beginning of a title.
    page.title = (!trouble.is_empty()).then(|| format!("{} · Scheduler", trouble.join(", ")));
    page
}

/// Next start of a job.
fn next(job: &JobStatus, now: &Snapshot) -> Option<Html> {
    job.next.map(|next| match &job.running {
        Some(_) if next <= now.now => text("when this run ends"),
        _ => moment(next, now.now, &zone(job)),
    })
}

/// Mode of all jobs, with its meaning.
fn mode(mode: Option<Mode>) -> Html {
    let means = match mode {
        Some(Mode::Apply) => "jobs make their changes",
        Some(Mode::Plan) => "jobs plan their changes, and make none",
        Some(Mode::ReadOnly) => "changes are refused",
        None => return text("not known yet"),
    };
    let name = mode.map_or("", Mode::name);
    all([text_element("strong", name), text(format!(": {means}"))])
}

/// Last execution of a job, which failed.
fn failure(job: &JobStatus, last: &Execution, now: &Snapshot) -> Html {
    /// Upper bound on the lines of an error. The page of the run has all.
    const LINES: usize = 3;
    let zone = zone(job);
    let mut told = vec![
        outcome_link(last),
        text(" "),
        moment(last.ended.unwrap_or(last.started), now.now, &zone),
    ];
    told.extend((last.attempt > 1).then(|| text(format!(", attempt {}", last.attempt))));
    if let Some(next) = next(job, now) {
        told.extend([text("; next run "), next]);
    }
    let error = last.error.as_deref().unwrap_or("No error message. See the log of the scheduler.");
    let lines: Vec<_> = error.lines().take(LINES).collect();
    let error = text_element("pre", lines.join("\n"));
    all([element("p", &[], told), error])
}

/// Link to the page of an execution, with its outcome.
fn outcome_link(execution: &Execution) -> Html {
    let run = spoken(format!(", run {}", execution.run));
    element("a", &[("href", &run_address(&execution.run))], [outcome(execution), run])
}

/// Reason why a runbook is broken.
fn breakage(job: &JobStatus) -> Html {
    let path = element("p", &[("class", "soft")], [text(job.path.display().to_string())]);
    all([path, text_element("pre", job.broken.as_deref().unwrap_or_default())])
}

fn job_row(job: &JobStatus, now: &Snapshot) -> Vec<Html> {
    let zone = zone(job);
    let mut name = vec![link(&job_address(&job.name), &job.name)];
    if let Some(description) = &job.description {
        name.push(element("div", &[("class", "soft")], [text(description)]));
    }
    let schedule = match &job.timing {
        Some(timing) => text(timing.words()),
        None => element("span", &[("class", "failed")], [text("broken")]),
    };
    let next = next(job, now).unwrap_or_else(|| text("–"));
    let (last, duration, changed) = match &job.last {
        None => (text("never"), text("–"), text("–")),
        Some(last) => (
            all([outcome_link(last), text(" "), moment(last.started, now.now, &zone)]),
            duration(last, now.now),
            text(changes(last)),
        ),
    };
    vec![all(name), schedule, next, last, duration, changed]
}

fn quota_of(quota: &Quota) -> Html {
    let used = match quota.quota {
        Some(most) => html::quota(quota.profiles, most, "instance profiles"),
        None => {
            text_element("p", format!("{} are used.", count(quota.profiles, "instance profile")))
        }
    };
    all([text_element("p", &quota.account), used])
}

fn calls(now: &Snapshot) -> Html {
    let all_calls: u64 = now.calls.values().sum();
    let throttled = match now.throttled {
        0 => "none of them throttled".to_owned(),
        n => format!("{} of them throttled", number(n)),
    };
    let said = format!("{} since the scheduler started, {throttled}.", count(all_calls, "call"));
    let mut content = vec![text_element("p", said)];
    if !now.calls.is_empty() {
        content.push(calls_table(&now.calls));
    }
    all(content)
}

fn calls_table(calls: &std::collections::BTreeMap<String, u64>) -> Html {
    let rows = calls.iter().map(|(action, n)| vec![text(action), text(number(*n))]);
    let columns = [Column::text("Action"), Column::number("Calls")];
    table("Calls by action", &columns, rows.collect())
}

/// Page of one job, with its executions, the newest first.
pub(super) fn job(
    job: &JobStatus,
    executions: &[Execution],
    now: &Snapshot,
    is_live: bool,
) -> HtmlPage {
    let zone = zone(job);
    let mut content = Vec::new();
    content.extend(job.description.as_ref().map(|description| text_element("p", description)));
    let alert =
        |title, why| element("div", &[("class", "alert")], [text_element("h2", title), why]);
    content.extend(job.failure().map(|last| alert("The last run failed", failure(job, last, now))));
    content.extend(job.broken.is_some().then(|| alert("The runbook is broken", breakage(job))));
    let schedule = job.timing.as_ref().map(|timing| ("Schedule", text(timing.words())));
    let next = next(job, now).map(|next| ("Next run", next));
    let success = job.last_success.map(|at| ("Last success", moment(at, now.now, &zone)));
    let path = ("Runbook", text(job.path.display().to_string()));
    content.push(facts(schedule.into_iter().chain(next).chain(success).chain([path])));
    content.push(text_element("h2", "History"));
    if executions.is_empty() {
        content.push(text_element("p", "No run yet."));
    } else {
        let columns = [
            Column::text("Run"),
            Column::text("Outcome"),
            Column::text("Started"),
            Column::number("Duration"),
            Column::number("Changes"),
            Column::text("Due"),
            Column::number("Attempt"),
        ];
        let rows = executions.iter().map(|execution| {
            vec![
                link(&run_address(&execution.run), &execution.run),
                outcome(execution),
                moment(execution.started, now.now, &zone),
                duration(execution, now.now),
                text(changes(execution)),
                due(execution, now, &zone),
                text(execution.attempt.to_string()),
            ]
        });
        content.push(table("Runs, the newest first", &columns, rows.collect()));
    }
    frame(&job.name, &job_address(&job.name), is_live, now, content)
}

/// Due time of an execution.
fn due(execution: &Execution, now: &Snapshot, zone: &TimeZone) -> Html {
    let at = |due| moment(due, now.now, zone);
    execution.due.map_or_else(|| text("started by hand"), at)
}

/// Changes of an execution.
fn changes_of(execution: &Execution, changes: Option<&Changes>) -> Html {
    let groups = changes.map_or(&[][..], |changes| &changes.groups);
    let mut content = vec![text_element("h2", "Changes")];
    for group in groups {
        content.push(text_element("h3", &group.title));
        content.push(long_text(&group.title, group.lines.join("\n")));
    }
    if groups.is_empty() {
        let is_plan = execution.mode == Mode::Plan && execution.changes > 0;
        content.push(text_element(
            "p",
            match (is_plan, execution.ended) {
                (true, _) => "No changes were made. The plan is at the end of the output.",
                (false, None) => "No changes yet.",
                (false, Some(_)) => "No changes.",
            },
        ));
    }
    for run in changes.map_or(&[][..], |changes| &changes.undone_by) {
        content.push(element(
            "p",
            &[],
            [text("Undone by run "), text_element("code", run), text(".")],
        ));
    }
    let stands = changes.is_some_and(|changes| changes.stands);
    if execution.outcome.is_some() && execution.mode == Mode::Apply && stands {
        let back = format!("iamlua undo {}", execution.run);
        content.push(element("p", &[], [text_element("code", back), text(" previews the undo.")]));
    }
    all(content)
}

/// Page of one execution.
pub(super) fn execution(
    execution: &Execution,
    made: Option<&Changes>,
    now: &Snapshot,
    is_live: bool,
) -> HtmlPage {
    let job = now.jobs.iter().find(|job| job.path == execution.path);
    let zone = job.map_or(TimeZone::UTC, zone);
    let name = match job {
        Some(job) => link(&job_address(&job.name), &job.name),
        None => text(&execution.job),
    };
    let at = |at| moment(at, now.now, &zone);
    let outcome = element("span", &[("role", "status")], [outcome(execution)]);
    let mut known = vec![("Job", name), ("Outcome", outcome), ("Mode", mode(Some(execution.mode)))];
    // It is known when the run ends.
    known.extend(execution.account.as_ref().map(|account| ("Account", text(account))));
    known.push(("Changes", text(changes(execution))));
    known.push(("Started", at(execution.started)));
    known.extend(execution.ended.map(|ended| ("Ended", at(ended))));
    known.push(("Duration", duration(execution, now.now)));
    known.push(("Due", due(execution, now, &zone)));
    known.push(("Attempt", text(execution.attempt.to_string())));
    known.extend(execution.exit_code.map(|code| ("Exit code", text(code.to_string()))));
    known.push(("Throttled calls", text(number(execution.throttled))));
    known.push(("Runbook", text(execution.path.display().to_string())));
    let mut content = Vec::new();
    if let Some(error) = &execution.error {
        content.extend([text_element("h2", "Error"), text_element("pre", error)]);
        content.push(text_element("h2", "Run"));
    }
    content.push(facts(known));
    content.push(changes_of(execution, made));
    content.push(text_element("h2", "Output"));
    content.push(match execution.output.as_str() {
        "" if execution.ended.is_none() => text_element(
            "p",
            "It is shown when the run ends. Until then it is in the log of the scheduler.",
        ),
        "" => text_element("p", "No output."),
        output => long_text("Output", output),
    });
    if !execution.calls.is_empty() {
        content.extend([text_element("h2", "Calls"), calls_table(&execution.calls)]);
    }
    let address = run_address(&execution.run);
    let mut page = frame(&format!("Run {}", execution.run), &address, is_live, now, content);
    // A run that has ended does not change by itself.
    if execution.ended.is_some() {
        page.is_live = false;
        page.links.truncate(1);
    }
    let name = job.map_or(&execution.job, |job| &job.name);
    let state = execution.outcome.map_or("running", ExecutionOutcome::name);
    page.title = Some(format!("{name} {state} · {}", page.heading));
    page
}

/// Error page.
pub(super) fn problem(title: &str, why: &str) -> HtmlPage {
    HtmlPage {
        heading: title.into(),
        source: SOURCE,
        links: vec![link("/", "All jobs")],
        content: text_element("p", why),
        footer: VERSION.into(),
        ..HtmlPage::default()
    }
}
