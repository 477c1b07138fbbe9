//! The progress bar on standard error, and output that is written while it is shown.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use crate::lock::locked;

static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A progress bar, shown until it is dropped. It is hidden unless `is_shown` and standard error is a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn start(total: usize, is_shown: bool) -> Self {
        let bar = if is_shown { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} ({eta} left)") {
            bar.set_style(style);
        }
        *locked(&SHOWN) = Some(bar.clone());
        Self(bar)
    }

    pub(super) fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *locked(&SHOWN) = None;
        self.0.finish_and_clear();
    }
}

/// Writes to the terminal while the progress bar, if there is one, is taken away. `write` must not call this again.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let bar = locked(&SHOWN).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
