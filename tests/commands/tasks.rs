//! Errors of tasks that are never awaited.

use super::Desk;

/// Changes after a failed task, and in another task.
const LATER: &str = "
    for _, name in ipairs { 'alpha', 'beta', 'gamma', 'delta' } do
        pcall(iam.profiles.tag, name, { Late = '1' })
    end
    print('reached')";

fn untouched(desk: &Desk) {
    for name in ["alpha", "beta", "gamma", "delta"] {
        assert!(desk.profile(name)["tags"].get("Late").is_none(), "{name}");
    }
}

#[test]
fn an_error_of_a_task_that_nobody_can_wait_for_ends_the_run() {
    let desk = Desk::new();
    let bad = "function() iam.profiles.get('nope') end";
    for begin in [
        format!("task.spawn({bad}) time.sleep(60) iam.profiles.get('alpha')"),
        // The function that held the task has returned.
        format!("local function start() local t = task.spawn({bad}) end start()\n{}", {
            "pcall(time.sleep, 60)"
        }),
        // The task fails while the script waits for something else.
        format!("task.spawn({bad}) pcall(time.sleep, 60)"),
        format!("task.spawn({bad}) task.spawn({bad}) pcall(task.wait, task.spawn(time.sleep, 60))"),
    ] {
        let ran = desk.run(&["-e", &format!("{begin}\n{LATER}")]).ends(1, "NoSuchEntity");
        assert_eq!(ran.out, "", "{begin}");
        untouched(&desk);
    }
    // A script that only computes continues until its next call.
    let code = format!(
        "local t = task.spawn(function() error('early') end) time.sleep(0)
         t = nil collectgarbage() print('computes') {LATER}"
    );
    let ran = desk.run(&["-e", &code]).ends(1, "early");
    assert!(!ran.out.contains("reached"), "{ran:?}");
    untouched(&desk);
}

#[test]
fn an_error_that_a_script_still_looks_at_is_its_own_affair() {
    let desk = Desk::new();
    let code = "
        local tasks = {}
        for i = 1, 9 do tasks[i] = task.spawn(function() error('number ' .. i) end) end
        time.sleep(0.1)
        for i, t in ipairs(tasks) do
            assert(not pcall(task.wait, t))
            iam.profiles.tag('alpha', { Seen = tostring(i) })
        end";
    desk.run(&["-e", code]).ends(0, "");
    assert_eq!(desk.profile("alpha")["tags"]["Seen"], "9");
    let kept = "kept = task.spawn(error, 'never looked at') iam.profiles.get('alpha')";
    desk.run(&["-e", kept]).ends(1, "never looked at");
}
