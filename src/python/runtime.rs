//! Running operations for Python: blocking waits, awaitables, callbacks, the interpreter gate and logging.

pub(crate) mod awaitable;
mod call;
pub(crate) mod callback_queue;
pub(crate) mod gate;
pub(crate) mod log;
pub(crate) mod loop_queue;
pub(crate) mod wait;
