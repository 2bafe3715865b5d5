//! Pages: all jobs, one job with its executions, one execution.

use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Changes;
use super::html::{
    Html, HtmlPage, all, element, facts, link, table, text, text_element, void_element,
};
use super::moments::{changes, duration, moment, outcome};
use crate::schedule::record::{Execution, JobStatus, Quota, Snapshot};
use crate::session::Mode;
use crate::ui::format::{count, number};

/// All characters except the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn job_address(name: &str) -> String {
    format!("/jobs/{}", utf8_percent_encode(name, ESCAPED))
}

fn run_address(run: &str) -> String {
    format!("/runs/{}", utf8_percent_encode(run, ESCAPED))
}

/// Link to the still or the live version of the page.
fn other(address: &str, is_live: bool) -> (String, &'static str) {
    if is_live {
        (format!("{address}?still"), "hold this page still")
    } else {
        (address.to_owned(), "refresh this page every 15 s")
    }
}

/// Time zone of a job.
fn zone(job: &JobStatus) -> TimeZone {
    job.timing.as_ref().map_or(TimeZone::UTC, crate::cron::Timing::zone)
}

/// Page of all jobs.
pub(super) fn overview(now: &Snapshot, is_live: bool) -> HtmlPage {
    let broken: Vec<_> = now.jobs.iter().filter(|job| job.broken.is_some()).collect();
    let failing = now.jobs.iter().filter_map(|job| Some((job, job.failure()?)));
    let failing: Vec<_> = failing.collect();
    let running: Vec<_> = now.jobs.iter().filter_map(|job| job.running.as_ref()).collect();
    let mut content = Vec::new();
    if now.is_ending {
        let text = "The scheduler was told to end: nothing new begins, and what runs is finished.";
        content.push(element(
            "div",
            &[("class", "alert"), ("role", "status")],
            [text_element("p", text)],
        ));
    }
    let mut summary = vec![
        count(now.jobs.len() as u64, "job"),
        format!("{} running", number(running.len() as u64)),
    ];
    if !broken.is_empty() {
        summary.push(format!("{} broken", number(broken.len() as u64)));
    }
    if !failing.is_empty() {
        summary.push(format!("{} failing", number(failing.len() as u64)));
    }
    content.push(text_element("p", summary.join(", ")));
    content.push(facts([
        ("Mode", mode(now.mode)),
        ("Account", text(now.account.as_deref().unwrap_or("not known yet"))),
        ("Up since", moment(now.started, now.now, &TimeZone::system())),
    ]));
    if !failing.is_empty() {
        content.push(text_element("h2", "Failing jobs"));
        content.extend(failing.into_iter().map(|(job, last)| failing_job(job, last, now)));
    }
    if !broken.is_empty() {
        content.push(text_element("h2", "Broken runbooks"));
        content.extend(broken.into_iter().map(broken_job));
    }
    if !running.is_empty() {
        content.push(text_element("h2", "Running now"));
        let rows = running.iter().map(|execution| {
            vec![
                link(&job_address(&execution.job), &execution.job),
                link(&run_address(&execution.run), &execution.run),
                moment(execution.started, now.now, &TimeZone::system()),
                text(execution.account.as_deref().unwrap_or("not known yet")),
            ]
        });
        content.push(table("What is running", &["Job", "Run", "Since", "Account"], rows.collect()));
    }
    content.push(text_element("h2", "Jobs"));
    if now.jobs.is_empty() {
        let text = "There are none: a runbook is a job if its manifest has `schedule` or `every`.";
        content.push(text_element("p", text));
    } else {
        let titles = ["Job", "Schedule", "Next run", "Last run", "Took", "Changes"];
        let rows = now.jobs.iter().map(|job| job_row(job, now));
        content.push(table("The jobs", &titles, rows.collect()));
    }
    content.push(text_element("h2", "Quota and calls"));
    content.extend(now.quota.iter().map(quota));
    content.push(calls(now));
    HtmlPage {
        title: "Scheduler".into(),
        is_live,
        other: Some(other("/", is_live)),
        content: all(content),
    }
}

/// Next start of a job.
fn next(job: &JobStatus, now: &Snapshot) -> Option<Html> {
    job.next.map(|next| match &job.running {
        Some(_) if next <= now.now => text("when this run has ended"),
        _ => moment(next, now.now, &zone(job)),
    })
}

/// Mode of all jobs, with its meaning.
fn mode(mode: Option<Mode>) -> Html {
    let means = match mode {
        Some(Mode::Apply) => "jobs make their changes",
        Some(Mode::Plan) => "jobs plan their changes and make none",
        Some(Mode::ReadOnly) => "jobs may change nothing",
        None => return text("not known yet"),
    };
    let name = mode.map_or("", Mode::name);
    all([text_element("strong", name), text(format!(": {means}"))])
}

/// Job whose last execution failed.
fn failing_job(job: &JobStatus, last: &Execution, now: &Snapshot) -> Html {
    /// Upper bound on the lines of an error. The page of the run has all.
    const LINES: usize = 3;
    let zone = zone(job);
    let name = element("h3", &[], [link(&job_address(&job.name), &job.name)]);
    let run = element("a", &[("href", &run_address(&last.run))], [outcome(last)]);
    let mut told = vec![run, text(" "), moment(last.ended.unwrap_or(last.started), now.now, &zone)];
    told.extend((last.attempt > 1).then(|| text(format!(", try {}", last.attempt))));
    if let Some(next) = next(job, now) {
        told.extend([text("; next run "), next]);
    }
    let error = last.error.as_deref().unwrap_or("It has said no reason.");
    let lines: Vec<_> = error.lines().take(LINES).collect();
    let error = text_element("pre", lines.join("\n"));
    element("div", &[("class", "alert")], [name, element("p", &[], told), error])
}

fn broken_job(job: &JobStatus) -> Html {
    let name = element("h3", &[], [link(&job_address(&job.name), &job.name)]);
    let path = element("p", &[("class", "soft")], [text(job.path.display().to_string())]);
    let why = text_element("pre", job.broken.as_deref().unwrap_or_default());
    element("div", &[("class", "alert")], [name, path, why])
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
            all([
                element("a", &[("href", &run_address(&last.run))], [outcome(last)]),
                text(" "),
                moment(last.started, now.now, &zone),
            ]),
            duration(last, now.now),
            text(changes(last)),
        ),
    };
    vec![all(name), schedule, next, last, duration, changed]
}

fn quota(quota: &Quota) -> Html {
    let used = number(quota.profiles);
    let Some(most) = quota.quota else {
        return text_element("p", format!("{}: {used} instance profiles", quota.account));
    };
    let said = format!("{used} of {} instance profiles are used", number(most));
    let (value, most) = (quota.profiles.to_string(), most.max(1));
    // 90 % counts as high; a low value is the optimum.
    let (high, most_text) = ((most / 10 * 9).to_string(), most.to_string());
    let bar = element(
        "meter",
        &[
            ("min", "0"),
            ("max", &most_text),
            ("high", &high),
            ("low", &high),
            ("optimum", "0"),
            ("value", &value),
            ("aria-label", &said),
        ],
        [text(&said)],
    );
    all([text_element("p", format!("{}: {said}", quota.account)), bar])
}

fn calls(now: &Snapshot) -> Html {
    let all_calls: u64 = now.calls.values().sum();
    let throttled = match now.throttled {
        0 => "none of them throttled".to_owned(),
        n => format!("{} of them throttled", number(n)),
    };
    let said = format!("{} since the scheduler was started, {throttled}", count(all_calls, "call"));
    let mut content = vec![text_element("p", said)];
    if !now.calls.is_empty() {
        content.push(calls_table(&now.calls));
    }
    all(content)
}

fn calls_table(calls: &std::collections::BTreeMap<String, u64>) -> Html {
    let rows = calls.iter().map(|(action, n)| vec![text(action), text(number(*n))]);
    table("Calls by action", &["Action", "Calls"], rows.collect())
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
    content.extend(job.broken.is_some().then(|| broken_job(job)));
    let schedule = job.timing.as_ref().map(|timing| ("Schedule", text(timing.words())));
    let next = next(job, now).map(|next| ("Next run", next));
    let success = job.last_success.map(|at| ("Last done", moment(at, now.now, &zone)));
    let path = ("Runbook", text(job.path.display().to_string()));
    content.push(facts(schedule.into_iter().chain(next).chain(success).chain([path])));
    content.push(text_element("h2", "Executions"));
    if executions.is_empty() {
        content.push(text_element("p", "It has not run yet."));
    } else {
        let titles = ["Run", "Began", "Outcome", "Took", "Changes", "For", "Try"];
        let rows = executions.iter().map(|execution| {
            vec![
                link(&run_address(&execution.run), &execution.run),
                moment(execution.started, now.now, &zone),
                outcome(execution),
                duration(execution, now.now),
                text(changes(execution)),
                execution.due.map_or_else(|| text("a person"), |due| moment(due, now.now, &zone)),
                text(execution.attempt.to_string()),
            ]
        });
        content.push(table("Its executions, the newest first", &titles, rows.collect()));
    }
    let other = Some(other(&job_address(&job.name), is_live));
    HtmlPage { title: job.name.clone(), is_live, other, content: all(content) }
}

/// Changes of an execution.
fn changes_of(execution: &Execution, changes: Option<&Changes>) -> Html {
    let groups = changes.map_or(&[][..], |changes| &changes.groups);
    let mut content = vec![text_element("h2", "Changes")];
    for group in groups {
        content.push(text_element("h3", &group.title));
        let label = [("tabindex", "0"), ("aria-label", group.title.as_str())];
        content.push(element("pre", &label, [text(group.lines.join("\n"))]));
    }
    if groups.is_empty() {
        let is_plan = execution.mode == Mode::Plan && execution.changes > 0;
        content.push(text_element(
            "p",
            match (is_plan, execution.ended) {
                (true, _) => "None were made. The plan is at the end of the output.",
                (false, None) => "None yet.",
                (false, Some(_)) => "None.",
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
pub(super) fn execution(execution: &Execution, made: Option<&Changes>, now: &Snapshot) -> HtmlPage {
    let job = now.jobs.iter().find(|job| job.path == execution.path);
    let zone = job.map_or(TimeZone::UTC, zone);
    let name = match job {
        Some(job) => link(&job_address(&job.name), &job.name),
        None => text(&execution.job),
    };
    let at = |at| moment(at, now.now, &zone);
    let mut known =
        vec![("Job", name), ("Outcome", outcome(execution)), ("Began", at(execution.started))];
    known.extend(execution.ended.map(|ended| ("Ended", at(ended))));
    known.push(("Took", duration(execution, now.now)));
    known.push(("For", execution.due.map_or_else(|| text("a person who asked for it"), at)));
    known.push(("Try", text(execution.attempt.to_string())));
    known.extend(execution.exit_code.map(|code| ("Exit code", text(code.to_string()))));
    known.extend(execution.account.as_ref().map(|account| ("Account", text(account))));
    known.push(("Mode", text(execution.mode.name())));
    known.push(("Changes", text(changes(execution))));
    known.push(("Throttled calls", text(number(execution.throttled))));
    known.push(("Runbook", text(execution.path.display().to_string())));
    let mut content = vec![facts(known)];
    if let Some(error) = &execution.error {
        content.extend([text_element("h2", "Error"), text_element("pre", error)]);
    }
    content.push(changes_of(execution, made));
    content.push(text_element("h2", "Output"));
    content.push(match execution.output.as_str() {
        "" if execution.ended.is_none() => text_element(
            "p",
            "It is here when the run has ended; until then it is in the scheduler's log.",
        ),
        "" => text_element("p", "It has printed nothing."),
        output => element("pre", &[("tabindex", "0"), ("aria-label", "Output")], [text(output)]),
    });
    if !execution.calls.is_empty() {
        content.extend([text_element("h2", "Calls"), calls_table(&execution.calls)]);
    }
    let is_live = execution.ended.is_none();
    HtmlPage {
        title: format!("Run {}", execution.run),
        is_live,
        other: None,
        content: all(content),
    }
}

/// Error page.
pub(super) fn problem(title: &str, why: &str) -> HtmlPage {
    let content = all([text_element("p", why), void_element("hr", &[]), link("/", "All jobs")]);
    HtmlPage { title: title.into(), is_live: false, other: None, content }
}
