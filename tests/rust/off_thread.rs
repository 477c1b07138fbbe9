//! Large bodies are read off the caller's thread.

use std::sync::mpsc;
use std::time::Duration;

use lmtokens::testing::client::off_thread;

use crate::support::HANG_TIMEOUT;

const LARGE: usize = 1024 * 1024;

async fn id_of_working_thread(size: usize) -> std::thread::ThreadId {
    off_thread(size, || std::thread::current().id()).await.unwrap()
}

#[tokio::test]
async fn only_work_on_a_large_body_gets_a_thread() {
    let own = std::thread::current().id();
    assert_eq!(id_of_working_thread(0).await, own);
    assert_eq!(id_of_working_thread(1000).await, own);
    assert_ne!(id_of_working_thread(LARGE).await, own);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_wait_for_the_work() {
    let (finish, finished) = mpsc::channel::<()>();
    let work = off_thread(LARGE, move || finished.recv_timeout(HANG_TIMEOUT).is_ok());
    // Only the runtime's timer can end this.
    assert!(tokio::time::timeout(Duration::from_millis(10), work).await.is_err());
    finish.send(()).unwrap();
}

#[tokio::test]
async fn a_panic_stays_in_the_thread() {
    assert_eq!(off_thread(LARGE, || -> u8 { panic!("on purpose") }).await, None);
}
