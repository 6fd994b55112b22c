//! Watches a running builder: its output, its time, its end.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::log::{Line, Lines, LogFile, Tail};
use crate::options::CancelToken;
use crate::sandbox::{ExitStatus, Running};

/// How often a build looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(100);

/// After the builder's end, output that somebody else still holds open is read this long.
const DRAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_silent_time: Option<Duration>,
    pub(crate) max_log_size: Option<u64>,
    /// Any of them stops the build.
    pub(crate) cancel: [CancelToken; 2],
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    TimedOut(Duration),
    Silent(Duration),
    LogTooLong(u64),
    Cancelled,
}

/// Reads the builder's output to its end; whatever the ending, no process of the build is left.
pub(crate) fn watch(
    mut running: Running,
    limits: &Limits,
    mut log: Option<LogFile>,
    tail: &mut Tail,
    mut show: impl FnMut(Line),
) -> io::Result<Ending> {
    let started = Instant::now();
    let mut last_output = started;
    let mut ended: Option<Instant> = None;
    let mut lines = Lines::default();
    let mut size = 0u64;
    let mut buffer = vec![0u8; 64 * 1024];
    let mut take = |line: Line| {
        if let Line::Text(text) = &line {
            tail.push(text.clone());
        }
        show(line);
    };

    let early = loop {
        let now = Instant::now();
        if limits.cancel.iter().any(CancelToken::is_cancelled) {
            break Some(Ending::Cancelled);
        }
        if let Some(limit) = limits.timeout.filter(|limit| now - started >= *limit) {
            break Some(Ending::TimedOut(limit));
        }
        if let Some(limit) = limits.max_silent_time.filter(|limit| now - last_output >= *limit) {
            break Some(Ending::Silent(limit));
        }
        if ended.is_some_and(|at| now - at >= DRAIN) {
            break None;
        }
        let (readable, exited) = wait_for_events(&running, ended.is_some())?;
        if readable {
            match running.output.read(&mut buffer) {
                Ok(0) => break None,
                Ok(count) => {
                    last_output = Instant::now();
                    let data = &buffer[..count];
                    size += count as u64;
                    if let Some(limit) = limits.max_log_size.filter(|limit| size > *limit) {
                        break Some(Ending::LogTooLong(limit));
                    }
                    if let Some(log) = &mut log {
                        log.write(data)?;
                    }
                    lines.push(data, &mut take);
                }
                // A terminal whose other side was closed by everybody.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => break None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        } else if exited && ended.is_none() {
            // Without a process namespace, others of its session may live on and hold the output open.
            running.kill();
            ended = Some(Instant::now());
        }
    };
    lines.finish(&mut take);
    if let Some(log) = log {
        log.finish()?;
    }
    // As in the reference a builder that closed its output is presumed to be done, but not killed while it may
    // still be about to exit by itself.
    if early.is_none() {
        let patience = Instant::now();
        while ended.is_none() && patience.elapsed() < Duration::from_secs(1) {
            if wait_for_events(&running, false)?.1 {
                ended = Some(Instant::now());
            }
        }
    }
    running.kill();
    let status = running.wait()?;
    Ok(early.unwrap_or(Ending::Exited(status)))
}

/// Whether there is output, and whether the builder has ended.
fn wait_for_events(running: &Running, ended: bool) -> io::Result<(bool, bool)> {
    let interest = PollFlags::IN;
    let mut fds =
        [PollFd::new(&running.output, interest), PollFd::from_borrowed_fd(running.pidfd.as_fd(), interest)];
    // The process descriptor of an ended builder stays readable: don't spin on it.
    let watched = if ended { &mut fds[..1] } else { &mut fds[..] };
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as i64 };
    match poll(watched, Some(&tick)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok((!fds[0].revents().is_empty(), !ended && !fds[1].revents().is_empty()))
}
