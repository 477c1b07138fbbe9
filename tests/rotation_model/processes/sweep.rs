//! The deletion of orphans.

use crate::processes::{Step, Turn};
use crate::world::Age;

impl Turn<'_> {
    /// Finds pending tokens older than an hour that were never used. Each is read before it is deleted.
    pub(super) fn sweep(&mut self) {
        let first = self.model.first_that_counts();
        for id in first..=self.newest() {
            let token = self.world.token(id);
            if token.is_unused_pending() && token.age == Age::OverAnHour {
                self.go("orphan", Step::DeleteOrphan, id);
            }
        }
    }
}
