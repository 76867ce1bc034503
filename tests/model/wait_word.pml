/* The waiting word as a model, for the model checker SPIN: runtime/src/shm/wait_word.hpp, by atomic steps.
 *
 * Two signallers signal SIGNALS times each; two waiters wait, each for a condition that one of these signals, any of
 * them, makes true. A waiter may be killed at any point, and a sleeper may be woken for no reason.
 *
 * Each step and the C++ it stands for. Every step is atomic, and the steps of all processes interleave freely:
 *
 *   waiter     ticket               ticket():  word_.load(acquire) & ~sleeper
 *              test                 the caller's test of its condition, after it took the ticket
 *              compare-exchange     wait():    compare_exchange_strong(seen, ticket | sleeper), and when it fails
 *                                              seen != (ticket | sleeper)
 *              compare and enqueue  wait():    FUTEX_WAIT(ticket | sleeper): both under the kernel's lock
 *              sleep                wait():    ... until it is woken, with or without a reason; then all anew
 *   signaller  happen               the caller's writes before signal()
 *              add                  signal():  old = fetch_add(event); (old & sleeper) == 0
 *              clear                signal():  fetch_and(~sleeper)
 *              wake                 signal():  FUTEX_WAKE(INT_MAX)
 *
 * What must hold:
 *   every_waiter_leaves  No wake-up is lost: a waiter whose condition holds for ever leaves, whatever the speed of each
 *                        process. The search for invalid end states says the same: nobody is asleep at the end.
 *   sleepers_are_seen    While somebody sleeps, bit 0 is set or a signaller is on its way to wake; and when a sleeper's
 *                        condition holds, a signaller is on its way. (Not with KILL_SIGNALLER.)
 *
 * Left out:
 *   - Memory orders: the steps are sequentially consistent. The argument needs no more than the order of the changes of
 *     one word, and acquire and release along the chain of its read-modify-writes.
 *   - The count's wrapping: a waiter would have to stand still for 2^31 signals between its ticket and its sleep.
 *   - The looks of wait() at the word before it sleeps, at once, spinning and yielding: one that sees no change leaves
 *     no trace, one that sees a change ends the wait like a compare-exchange that fails.
 *   - The limit of a sleep. Without it a lost wake-up is a sleep for ever, and is found. TIME_LIMIT brings it back.
 *
 * A signaller that is killed in signal():
 *   KILL_SIGNALLER    One signaller may be killed at any point. A third process then tells everybody, by signal().
 *                     This FAILS: killed between `clear` and `wake` it leaves sleepers behind whom no signal() sees,
 *                     until somebody goes to sleep anew. They sleep until their limit.
 *   TIME_LIMIT        The limit ends a sleep. With KILL_SIGNALLER this holds: a death costs one limit.
 *   NOTICE_WAKES_ALL  The third process tells by notice(): it wakes whatever bit 0 says. With KILL_SIGNALLER this holds, without a limit.
 *
 * Mistakes, each of which must be found:
 *   BROKEN_TEST_BEFORE_ADD    the signaller tests bit 0, then adds
 *   BROKEN_CLEAR_AFTER_WAKE   the signaller wakes, then clears bit 0
 *   BROKEN_WAKE_ONE           the signaller wakes one sleeper only
 *   BROKEN_NO_COMPARE         the waiter sleeps whatever the word is by then
 *   BROKEN_TICKET_AFTER_TEST  the caller tests its condition, then takes the ticket
 */
#ifndef SIGNALS
#ifdef KILL_SIGNALLER
#define SIGNALS 1 /* the messenger signals too */
#else
#define SIGNALS 2
#endif
#endif
#define all_signals (2 * SIGNALS)
#define SPURIOUS 1 /* wake-ups for no reason */

#define sleeper 1
#define event 2

byte word;       /* WaitWord::word_ */
byte happened;   /* signals begun */
bool met[2];     /* the waiters' conditions: once true, true for ever */
bool waiting[2]; /* alive, and has not seen its condition hold */
bool asleep[2];  /* in the kernel's queue */
bool killed;     /* waiter 0, which stands for either: they are alike */
byte on_the_way; /* signallers between `happen` and `wake`, without those that have nobody to wake */
bool signaller_killed;
bool departed;   /* the signaller's death is known: nobody waits for it any more */

#define is_ready(w) (met[w] || departed)
#define is_held(w) (waiting[w] && is_ready(w))

ltl every_waiter_leaves { []<> !is_held(0) && []<> !is_held(1) }
#ifndef KILL_SIGNALLER
ltl sleepers_are_seen {
    [] ((asleep[0] || asleep[1] -> (word & sleeper) || on_the_way > 0) &&
        ((asleep[0] && is_held(0)) || (asleep[1] && is_held(1)) -> on_the_way > 0))
}
#endif

/* ---- signallers ---- */

/* This signal makes the condition true, or leaves it to a later one. */
inline meet(w) {
    if
    :: met[w] = true
    :: happened < all_signals
    fi
}

inline wake_sleepers() {
#ifdef BROKEN_WAKE_ONE
    if
    :: asleep[0] -> asleep[0] = false
    :: else -> asleep[1] = false
    fi
#else
    asleep[0] = false;
    asleep[1] = false
#endif
}

inline signal() {
    if
#ifdef BROKEN_TEST_BEFORE_ADD
    :: word & sleeper ->
        word = word + event;
#else
    :: d_step { word & sleeper -> word = word + event }; /* add */
#endif
#ifdef BROKEN_CLEAR_AFTER_WAKE
        d_step { wake_sleepers(); on_the_way-- };
        word = word & ~sleeper
#else
        word = word & ~sleeper;                          /* clear */
        d_step { wake_sleepers(); on_the_way-- }         /* wake */
#endif
#ifdef BROKEN_TEST_BEFORE_ADD
    :: !(word & sleeper) ->
        d_step { word = word + event; on_the_way-- }
#else
    :: d_step { !(word & sleeper) -> word = word + event; on_the_way-- } /* add */
#endif
    fi
}

proctype signaller(bool mortal) {
    byte done;
    {
        do
        :: atomic { /* happen */
               done < SIGNALS ->
               done++;
               happened++;
               on_the_way++;
               meet(0);
               meet(1)
           };
           signal()
        :: else -> break
        od
    } unless { mortal && signaller_killed }
}

#ifdef KILL_SIGNALLER
/* Sees a process's death and tells everybody: the launcher (JobMemory::wake_all), the fork server's reader (Mail). */
proctype messenger() {
end:
    d_step { signaller_killed -> departed = true; on_the_way++ };
#ifdef NOTICE_WAKES_ALL
    word = word + event;
    word = word & ~sleeper;
    d_step { wake_sleepers(); on_the_way-- }
#else
    signal()
#endif
}
#endif

/* ---- waiters ---- */

proctype waiter(byte me) {
    byte ticket;
    {
        do
#ifdef BROKEN_TICKET_AFTER_TEST
        :: if
           :: d_step { is_ready(me) -> waiting[me] = false } -> break
           :: else
           fi;
           ticket = word & ~sleeper;
#else
        :: ticket = word & ~sleeper; /* ticket */
           if                        /* test */
           :: d_step { is_ready(me) -> waiting[me] = false; ticket = 0 } -> break
           :: else
           fi;
#endif
           if
           :: d_step { (word & ~sleeper) == ticket -> word = ticket | sleeper }; /* compare-exchange */
               if
#ifdef BROKEN_NO_COMPARE
               :: asleep[me] = true;
#else
               :: d_step { word == (ticket | sleeper) -> asleep[me] = true }; /* compare and enqueue */
#endif
                   if
                   :: d_step { !asleep[me] -> ticket = 0 } /* sleep */
#ifdef TIME_LIMIT
                   :: d_step { asleep[me] -> asleep[me] = false; ticket = 0 }
#endif
                   fi
#ifndef BROKEN_NO_COMPARE
               :: d_step { word != (ticket | sleeper) -> ticket = 0 }
#endif
               fi
           :: d_step { (word & ~sleeper) != ticket -> ticket = 0 }
           fi
        od
    } unless { d_step { killed && me == 0 -> ticket = 0 } }
}

/* ---- what comes from outside: some of it, all or nothing, so that nobody can count on it ---- */

proctype fate() {
    byte spurious;
    do
    :: d_step { spurious < SPURIOUS && asleep[0] -> asleep[0] = false; spurious++ }
    :: d_step { spurious < SPURIOUS && asleep[1] -> asleep[1] = false; spurious++ }
    :: d_step { waiting[0] -> waiting[0] = false; asleep[0] = false; killed = true }
#ifdef KILL_SIGNALLER
    :: d_step { !signaller_killed -> signaller_killed = true }
#endif
    :: d_step { true -> spurious = 0 } -> break
    od
}

init {
    atomic {
        waiting[0] = true;
        waiting[1] = true;
        run waiter(0);
        run waiter(1);
        run signaller(true);
        run signaller(false);
#ifdef KILL_SIGNALLER
        run messenger();
#endif
        run fate()
    }
}
