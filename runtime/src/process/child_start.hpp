// The first steps of a child process: from a copy of the fork server to a process with the surroundings it was given.
#pragma once

#include "os/socket.hpp"
#include "process/child.hpp"

namespace rankpool::process {

/// Takes on what the spawn packet says and does its work; ends the process with the work's exit code, after flushing
/// the child's own output. std::exit inside the work flushes it too, but runs no destructor and no atexit handler that
/// was there before the work began: those belong to the program's main.
[[noreturn]] void start_child(os::Packet spawn, const Works& works);

/// Dies with `parent`, its maker; ends at once when that is gone already.
void die_with(pid_t parent);

/// A pool's worker or a server does not belong to the terminal, and only its owner ends it.
void ignore_terminal_signals();

/// What signals do to a child of that kind: a worker ignores the terminal's, to a process they do what they do by default.
/// Async-signal-safe.
void take_signal_actions(Kind kind);

/// Flushes what this process printed (stdio and iostreams).
void flush_output();

/// The same for standard output alone; costs nothing when nothing was printed.
void flush_standard_output();

}  // namespace rankpool::process
