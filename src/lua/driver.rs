//! Event loop of a VM. Coroutines wait for calls that run on the background runtime, and are
//! resumed when the answer has arrived. Where Lua cannot yield, the wait blocks in place.
//!
//! A coroutine waits by yielding [`marker`] and a handle, which the prelude does. A coroutine that
//! runs directly under the driver is a task.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use mlua::{AnyUserData, LightUserData, Lua, MultiValue, Thread, UserData, Value as LuaValue};

use super::cancel::{Canceller, Entered, Stop};
use super::coroutines;
use crate::error::{Error, Kind, Result};
use crate::spec::Value;

/// Time to wait at the end of a run for calls in flight that may change the account.
const WRITE_TIMEOUT: Duration = Duration::from_secs(90);

/// Event of the loop.
enum DriverEvent {
    /// Answer for that handle.
    Done(u64, Result<Value>),
    /// Request to check for a stop.
    Wake,
}

/// Wakes a waiting driver, from any thread.
#[derive(Clone)]
pub struct Waker(Sender<DriverEvent>);

impl Waker {
    /// Makes the driver check for a stop.
    pub fn wake(&self) {
        // A driver that has ended needs no waking.
        let _ = self.0.send(DriverEvent::Wake);
    }
}

/// Awaitable of a coroutine.
struct TaskSlot {
    id: u64,
    /// Possibility that it changes the account: then it is awaited even when the script stops.
    writes: bool,
    /// Mark of a task: waiting for it in place runs the others meanwhile.
    is_task: bool,
    state: RefCell<TaskState>,
    waiters: RefCell<Vec<Thread>>,
}

enum TaskState {
    Pending,
    Done(Result<Value>),
    Taken,
}

/// Slot as a Lua value.
struct Handle(Rc<TaskSlot>);

impl UserData for Handle {}

/// The event loop.
pub struct Driver {
    runtime: tokio::runtime::Handle,
    canceller: Canceller,
    sender: Sender<DriverEvent>,
    events: Receiver<DriverEvent>,
    pending: RefCell<HashMap<u64, Rc<TaskSlot>>>,
    ready: RefCell<VecDeque<(Thread, MultiValue)>>,
    next_id: Cell<u64>,
    tasks: Cell<usize>,
    /// Number of tasks that wait for a consumer that may never come.
    idle: Cell<usize>,
    /// Called before the loop sleeps, to flush buffered output.
    before_sleep: Box<dyn Fn()>,
    /// Coroutine of the script itself, while it runs.
    main: RefCell<Option<Thread>>,
    /// Error of a variable with `<close>` that was closed by an exit.
    closing_failure: RefCell<Option<LuaValue>>,
}

/// Sources of the addresses that markers are.
static MARKERS: [u8; 2] = [0; 2];

/// Value that a coroutine yields to the driver before the handle that it waits for.
#[must_use]
pub fn marker() -> LightUserData {
    LightUserData((&raw const MARKERS[0]).cast_mut().cast())
}

/// Value that a coroutine yields to the driver before the code with which the script ends, once
/// the variables with `<close>` of its main coroutine are closed.
#[must_use]
pub fn exit_marker() -> LightUserData {
    LightUserData((&raw const MARKERS[1]).cast_mut().cast())
}

/// Check for a value that is yielded to the driver, through all coroutines between.
#[must_use]
pub fn is_marker(address: *mut c_void) -> bool {
    address == marker().0 || address == exit_marker().0
}

impl Driver {
    /// Loop whose calls run on `runtime`.
    #[must_use]
    pub fn new(
        runtime: tokio::runtime::Handle,
        canceller: Canceller,
        before_sleep: Box<dyn Fn()>,
    ) -> Self {
        let (sender, events) = channel();
        Self {
            runtime,
            canceller,
            sender,
            events,
            pending: RefCell::default(),
            ready: RefCell::default(),
            next_id: Cell::new(1),
            tasks: Cell::new(0),
            idle: Cell::new(0),
            before_sleep,
            main: RefCell::default(),
            closing_failure: RefCell::default(),
        }
    }

    /// Waker of the loop.
    pub fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    fn slot(&self, writes: bool, is_task: bool) -> Rc<TaskSlot> {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let slot = Rc::new(TaskSlot {
            id,
            writes,
            is_task,
            state: RefCell::new(TaskState::Pending),
            waiters: RefCell::default(),
        });
        self.pending.borrow_mut().insert(id, Rc::clone(&slot));
        slot
    }

    /// Starts a call in the background and returns the handle to wait for.
    pub fn start<F>(&self, lua: &Lua, writes: bool, call: F) -> mlua::Result<AnyUserData>
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        if writes {
            self.canceller.write_started();
        }
        let slot = self.slot(writes, false);
        let (id, sender) = (slot.id, self.sender.clone());
        let call = AssertUnwindSafe(call).catch_unwind();
        self.runtime.spawn(async move {
            let answer = call.await.unwrap_or_else(|panic| {
                let why = panic.downcast_ref::<String>().map_or("no message", String::as_str);
                Err(Error::new(Kind::Bug, format!("a call ended in an unexpected way: {why}")))
            });
            // The receiver is gone once the script has ended.
            let _ = sender.send(DriverEvent::Done(id, answer));
        });
        lua.create_userdata(Handle(slot))
    }

    /// Starts a coroutine as a task; returns the handle that [`finish`](Self::finish) completes.
    pub fn spawn(&self, lua: &Lua, thread: Thread, args: MultiValue) -> mlua::Result<AnyUserData> {
        let handle = lua.create_userdata(Handle(self.slot(false, true)))?;
        coroutines::own(&thread);
        self.tasks.set(self.tasks.get() + 1);
        self.ready.borrow_mut().push_back((thread, args));
        Ok(handle)
    }

    /// Creates a handle that [`release`](Self::release) completes.
    pub fn latch(&self, lua: &Lua) -> mlua::Result<AnyUserData> {
        lua.create_userdata(Handle(self.slot(false, true)))
    }

    /// Resumes the waiters of a latch.
    pub fn release(&self, latch: &AnyUserData) -> mlua::Result<()> {
        let id = latch.borrow::<Handle>()?.0.id;
        self.complete(id, Ok(Value::Nil));
        Ok(())
    }

    /// Records that the running task begins to wait for a consumer that may never come, or stops
    /// waiting.
    pub fn set_idle(&self, begins: bool) {
        let idle = self.idle.get();
        self.idle.set(if begins { idle + 1 } else { idle.saturating_sub(1) });
    }

    /// Completes the handle of an ended task.
    pub fn finish(&self, handle: &AnyUserData) -> mlua::Result<()> {
        let id = handle.borrow::<Handle>()?.0.id;
        self.tasks.set(self.tasks.get().saturating_sub(1));
        self.complete(id, Ok(Value::Nil));
        Ok(())
    }

    fn complete(&self, id: u64, answer: Result<Value>) {
        let Some(slot) = self.pending.borrow_mut().remove(&id) else { return };
        if slot.writes {
            self.canceller.write_ended();
        }
        *slot.state.borrow_mut() = TaskState::Done(answer);
        let mut ready = self.ready.borrow_mut();
        ready.extend(slot.waiters.take().into_iter().map(|thread| (thread, MultiValue::new())));
    }

    /// Takes the answer of a completed handle.
    pub fn take(handle: &AnyUserData) -> mlua::Result<Result<Value>> {
        let slot = Rc::clone(&handle.borrow::<Handle>()?.0);
        let mut state = slot.state.borrow_mut();
        if matches!(*state, TaskState::Pending) {
            return Ok(Err(Error::new(Kind::Bug, "an answer was taken before it was there")));
        }
        match std::mem::replace(&mut *state, TaskState::Taken) {
            TaskState::Done(answer) => Ok(answer),
            TaskState::Pending | TaskState::Taken => {
                Ok(Err(Error::new(Kind::Bug, "an answer was taken twice")))
            }
        }
    }

    /// Drops a value that was copied to Lua. A page was built on the background thread and is
    /// dropped there, because threads that free each other's memory contend for the allocator.
    pub fn discard(&self, value: Value) {
        if matches!(value, Value::Page(_)) {
            self.runtime.spawn(async move { drop(value) });
        }
    }

    /// Check that a handle is complete.
    pub fn is_ready(handle: &AnyUserData) -> mlua::Result<bool> {
        Ok(!matches!(*handle.borrow::<Handle>()?.0.state.borrow(), TaskState::Pending))
    }

    /// Waits in place, where Lua cannot yield. Other tasks run meanwhile only if the handle is a
    /// task's.
    pub fn block(&self, lua: &Lua, handle: &AnyUserData) -> mlua::Result<()> {
        let slot = Rc::clone(&handle.borrow::<Handle>()?.0);
        while matches!(*slot.state.borrow(), TaskState::Pending) {
            if self.canceller.reason().is_some() {
                return Err(mlua::Error::runtime("stopped"));
            }
            if slot.is_task && self.step(lua)? {
                continue;
            }
            if !self.has_calls() {
                return Err(mlua::Error::runtime("every task waits for another one"));
            }
            self.receive();
        }
        Ok(())
    }

    /// Takes the error of a variable with `<close>` that was closed by an exit.
    pub fn take_closing_failure(&self) -> Option<LuaValue> {
        self.closing_failure.borrow_mut().take()
    }

    /// Clears the state of an earlier run.
    pub fn reset(&self) {
        self.pending.borrow_mut().clear();
        self.ready.borrow_mut().clear();
        self.tasks.set(0);
        self.idle.set(0);
    }

    /// Runs until the main coroutine and every task have ended, or the script must stop. Returns
    /// the results of the main coroutine.
    ///
    /// # Errors
    /// If Lua refuses to resume a task, or all tasks wait for each other.
    pub fn run(
        &self,
        lua: &Lua,
        main: &Thread,
        args: MultiValue,
    ) -> mlua::Result<Option<MultiValue>> {
        coroutines::own(main);
        *self.main.borrow_mut() = Some(main.clone());
        let returned = self.run_all(lua, main, args);
        *self.main.borrow_mut() = None;
        returned
    }

    fn run_all(
        &self,
        lua: &Lua,
        main: &Thread,
        args: MultiValue,
    ) -> mlua::Result<Option<MultiValue>> {
        let _attached = self.canceller.attach();
        let mut returned = None;
        if let Resumed::Ended(values) = self.resume(lua, main, args)? {
            returned = Some(values);
        }
        loop {
            if self.canceller.reason().is_some() {
                self.finish_writes();
                return Ok(None);
            }
            // When the script has failed, its tasks are not continued.
            let has_failed = returned.as_ref().is_some_and(|values: &MultiValue| {
                values.front() == Some(&LuaValue::Boolean(false))
            });
            let next = self.ready.borrow_mut().pop_front().filter(|_| !has_failed);
            if let Some((thread, args)) = next {
                let is_main = thread == *main;
                if let Resumed::Ended(values) = self.resume(lua, &thread, args)?
                    && is_main
                {
                    returned = Some(values);
                }
                continue;
            }
            if has_failed || (returned.is_some() && self.tasks.get() <= self.idle.get()) {
                self.finish_writes();
                return Ok(returned);
            }
            if !self.has_calls() {
                return Err(mlua::Error::runtime("every task waits for another one"));
            }
            self.receive();
        }
    }

    /// Resumes one ready task; false if there is none.
    fn step(&self, lua: &Lua) -> mlua::Result<bool> {
        let next = self.ready.borrow_mut().pop_front();
        let Some((thread, args)) = next else { return Ok(false) };
        self.resume(lua, &thread, args)?;
        Ok(true)
    }

    fn resume(&self, lua: &Lua, thread: &Thread, args: MultiValue) -> mlua::Result<Resumed> {
        let values = {
            let _entered = Entered::new(thread.state());
            match thread.resume::<MultiValue>(args) {
                Ok(values) => values,
                // Raised by the hook, or while unwinding from it: `run` checks the reason.
                Err(_) if self.canceller.reason().is_some() => return Ok(Resumed::Waits),
                Err(error) => return Err(error),
            }
        };
        if !thread.is_resumable() {
            return Ok(Resumed::Ended(values));
        }
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (Some(LuaValue::LightUserData(mark)), Some(LuaValue::UserData(handle)))
                if mark.0 == marker().0 =>
            {
                let slot = Rc::clone(&handle.borrow::<Handle>()?.0);
                if matches!(*slot.state.borrow(), TaskState::Pending) {
                    slot.waiters.borrow_mut().push(thread.clone());
                    return Ok(Resumed::Waits);
                }
            }
            (Some(LuaValue::LightUserData(mark)), Some(LuaValue::Integer(code)))
                if mark.0 == exit_marker().0 =>
            {
                return self.close_and_exit(lua, code);
            }
            _ => {}
        }
        self.ready.borrow_mut().push_back((thread.clone(), MultiValue::new()));
        Ok(Resumed::Waits)
    }

    /// Closes the variables with `<close>` of the main coroutine, and ends the script.
    fn close_and_exit(&self, lua: &Lua, code: i64) -> mlua::Result<Resumed> {
        let main = self.main.borrow().clone();
        // While it runs beneath a wait in place, or is being closed, nothing can close it.
        let main = main.filter(coroutines::is_suspended);
        let failure = main.map_or(Ok(LuaValue::Nil), |main| {
            let _entered = Entered::new(main.state());
            coroutines::close_thread(lua, &main)
        })?;
        if failure != LuaValue::Nil && self.canceller.reason().is_none() {
            let failure = match failure {
                LuaValue::String(message) => {
                    let error = lua.create_table()?;
                    error.raw_set("message", message)?;
                    LuaValue::Table(error)
                }
                other => other,
            };
            *self.closing_failure.borrow_mut() = Some(failure);
        }
        self.canceller.stop(Stop::Exit(u8::try_from(code).unwrap_or(1)));
        Ok(Resumed::Waits)
    }

    fn has_calls(&self) -> bool {
        self.pending.borrow().values().any(|slot| !slot.is_task)
    }

    /// Waits for one event.
    fn receive(&self) {
        let event = self.events.try_recv().or_else(|_| {
            (self.before_sleep)();
            self.events.recv()
        });
        if let Ok(DriverEvent::Done(id, answer)) = event {
            self.complete(id, answer);
        }
    }

    /// Waits for calls in flight that may change the account, so that their outcomes are known.
    ///
    /// The wait is bounded: a call without an answer by then stays in doubt.
    fn finish_writes(&self) {
        let end = Instant::now() + WRITE_TIMEOUT;
        while self.pending.borrow().values().any(|slot| slot.writes) {
            (self.before_sleep)();
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(DriverEvent::Done(id, answer)) => self.complete(id, answer),
                Ok(DriverEvent::Wake) => {}
                Err(_) => break,
            }
        }
        self.pending.borrow_mut().clear();
        self.ready.borrow_mut().clear();
    }
}

enum Resumed {
    /// Values that it has returned.
    Ended(MultiValue),
    /// Wait, or a stop.
    Waits,
}
