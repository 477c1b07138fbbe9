//! Per-process state. The Python tests cover `fork()`, which would need unsafe code here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::process::{PerProcess, runtime};

use crate::support::HANG_TIMEOUT;

#[test]
fn a_value_is_built_once_on_first_use() {
    let count = AtomicUsize::new(0);
    let per_process = PerProcess::new();
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let make = || Ok(count.fetch_add(1, Ordering::SeqCst));
    let first = per_process.get_or_try_init(make).unwrap();
    let second = per_process.get_or_try_init(make).unwrap();
    assert_eq!((*first, *second, count.load(Ordering::SeqCst)), (0, 0, 1));
    assert!(std::ptr::eq(&raw const *first, &raw const *second));
}

#[test]
fn threads_that_build_a_value_at_once_all_get_the_first() {
    const THREADS: usize = 8;
    for _ in 0..50 {
        let per_process = PerProcess::<usize>::new();
        let (all_are_making, count) = (Barrier::new(THREADS), AtomicUsize::new(0));
        let got: Vec<usize> = thread::scope(|scope| {
            let get = || {
                let make = || {
                    all_are_making.wait();
                    Ok(count.fetch_add(1, Ordering::SeqCst))
                };
                *per_process.get_or_try_init(make).unwrap()
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(get)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(count.load(Ordering::SeqCst), THREADS);
        assert!(got.iter().all(|value| *value == got[0]), "{got:?}");
        assert_eq!(*per_process.get_or_try_init(|| panic!("it was made already")).unwrap(), got[0]);
    }
}

#[test]
fn a_failure_is_not_kept() {
    let per_process = PerProcess::<u8>::new();
    let error = per_process.get_or_try_init(|| Err(Error::configuration("not now"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(*per_process.get_or_try_init(|| Ok(7)).unwrap(), 7);
}

#[test]
fn clearing_drops_the_value_once_its_last_user_is_done() {
    let value = Arc::new(());
    let per_process = PerProcess::new();
    per_process.clear();
    let used = per_process.get_or_try_init(|| Ok(Arc::clone(&value))).unwrap();
    per_process.clear();
    assert_eq!(Arc::strong_count(&value), 2, "it is still in use");
    assert!(Arc::ptr_eq(&used, &value));
    drop(used);
    assert_eq!(Arc::strong_count(&value), 1);

    let other = Arc::new(());
    let used = per_process.get_or_try_init(|| Ok(Arc::clone(&other))).unwrap();
    assert!(Arc::ptr_eq(&used, &other), "the next use makes a new one");
    drop(used);
    drop(per_process);
    assert_eq!(Arc::strong_count(&other), 1, "it was dropped with its owner");
}

#[test]
fn clearing_while_others_use_the_value_leaks_nothing() {
    let per_process = PerProcess::new();
    let live = Arc::new(());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let value = per_process.get_or_try_init(|| Ok(Arc::clone(&live))).unwrap();
                    assert!(Arc::ptr_eq(&value, &live));
                    per_process.clear();
                }
            });
        }
    });
    assert_eq!(Arc::strong_count(&live), 1, "a value was leaked");
}

#[test]
fn one_runtime_serves_every_thread() {
    let here = runtime().unwrap();
    let shared = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    let runtime = runtime().unwrap();
                    let spawned = runtime.spawn(async move { number });
                    assert_eq!(runtime.block_on(spawned).unwrap(), number);
                    std::ptr::from_ref(&*runtime).addr()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(shared, [std::ptr::from_ref(&*here).addr(); 4]);
}

#[test]
fn a_task_proceeds_while_threads_wait_now_and_then() {
    let runtime = runtime().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ended, results) = mpsc::channel();
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                runtime.block_on(async { tokio::time::sleep(Duration::from_micros(50)).await });
            }
        });
        for number in 0..200 {
            let ended = ended.clone();
            runtime.spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ended.send(number).unwrap();
            });
            // The task gets no help from this thread.
            assert_eq!(results.recv_timeout(HANG_TIMEOUT), Ok(number));
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn the_runtime_proceeds_when_the_threads_have_gone() {
    let runtime = runtime().unwrap();
    let (ended, results) = mpsc::channel();
    for number in 0..20 {
        let ended = ended.clone();
        runtime.block_on(async move {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ended.send(number).unwrap();
            });
        });
        assert_eq!(results.recv_timeout(HANG_TIMEOUT), Ok(number));
    }
}
