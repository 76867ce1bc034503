/* The word of a collective's slot as a model, for the model checker SPIN, by atomic steps.
 *
 * One process publishes epochs 1, 2, ...; the others wait for each in turn, read what was published and acknowledge it.
 * The word tells the epoch and whether somebody may sleep: word = epoch << 1 | sleeper. Contents lie in two places that
 * are used in turns, so the publisher runs at most two epochs ahead of the slowest acknowledgement. How many epochs
 * there will be, up to EPOCHS, is open: each may be the last, so that no later one makes good for a lost wake-up.
 *
 * Each step and the C++ it stands for. Every step is atomic, and the steps of all processes interleave freely:
 *
 *   publisher  room                 each acknowledgement is >= epoch - 2, or its owner is dead
 *              fill                 writes the contents of the epoch
 *              publish              old = word.exchange(epoch << 1); old & sleeper
 *              wake                 FUTEX_WAKE(INT_MAX), if old had bit 0
 *   waiter     look                 seen = word.load(acquire); (seen >> 1) >= epoch
 *              compare-exchange     word.compare_exchange_strong(seen, seen | sleeper), unless seen has bit 0 already;
 *                                   looks again when it fails
 *              compare and enqueue  FUTEX_WAIT(seen | sleeper): both under the kernel's lock
 *              sleep                ... until it is woken, with or without a reason; then looks again
 *              read, acknowledge    reads the contents, then acknowledged = epoch
 *
 * What must hold:
 *   every_waiter_leaves  No wake-up is lost: a waiter whose epoch is published leaves, whatever the speed of each
 *                        process, and whoever of the others is killed. The search for invalid end states says the same:
 *                        nobody is asleep at the end.
 *   sleepers_are_seen    While somebody sleeps, bit 0 is set or the publisher is on its way to wake; and when a
 *                        sleeper's epoch is published, the publisher is on its way. (Not with KILL_PUBLISHER.)
 *   (an assertion)       What a waiter reads is what was published for its epoch.
 *
 * Left out:
 *   - Memory orders: the steps are sequentially consistent. All that matters goes through one word, whose changes have
 *     one order.
 *   - The epoch's wrapping.
 *   - Looks before the sleep: one that sees nothing new leaves no trace.
 *   - How the publisher waits for room: see wait_word.pml.
 *   - The limit of a sleep. Without it a lost wake-up is a sleep for ever, and is found. TIME_LIMIT brings it back.
 *
 * A publisher that is killed:
 *   KILL_PUBLISHER          It may be killed at any point. Another process then sets bit `gone` of the word, clears bit
 *                           0 and wakes whatever bit 0 was. A waiter that finds `gone`, and not its epoch, gives up.
 *   BROKEN_NOTICE_IF_ARMED  The notice wakes only if bit 0 was set: lost when the publisher died just before its wake.
 *   BROKEN_NOTICE_BESIDE    The notice sets a flag beside the word, then wakes: lost on a waiter between its test and
 *                           its sleep, for the word that it compares is the same.
 *   TIME_LIMIT              The limit ends a sleep. With it these two hold as well: a death costs one limit.
 *
 * Mistakes, each of which must be found:
 *   BROKEN_TEST_BEFORE_PUBLISH  the publisher loads the word and tests bit 0, then stores
 *   BROKEN_WAKE_ONE             the publisher wakes one sleeper only
 *   BROKEN_NO_COMPARE           the waiter sleeps whatever the word is by then
 *   BROKEN_FETCH_OR             the waiter sets bit 0 on whatever word there is and sleeps on the result
 *   BROKEN_EQUAL                the waiter waits for its epoch, not for it or a later one
 *   BROKEN_NO_ROOM              the publisher waits for nobody
 */
#ifndef WAITERS
#define WAITERS 2 /* at most 3 */
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#define SPURIOUS 1 /* wake-ups for no reason */

#define sleeper 1
#define gone 64

byte word;
byte contents[2];     /* of epoch e at place e % 2 */
byte last;            /* epochs there will be */
byte acknowledged[3];
bool waiting[3];      /* alive, and waits for the epoch after the acknowledged one */
bool asleep[3];       /* in the kernel's queue */
bool killed;          /* waiter 0, which stands for any: they are alike */
bool publisher_killed;
bool departed;        /* the flag beside the word, of BROKEN_NOTICE_BESIDE */
bool on_the_way;      /* between `publish` over a word with bit 0 and `wake` */

#define epoch_of(value) (((value) & ~gone) >> 1)
#ifdef BROKEN_EQUAL
#define is_published(value, epoch) (epoch_of(value) == (epoch))
#else
#define is_published(value, epoch) (epoch_of(value) >= (epoch))
#endif
#define is_held(w) (waiting[w] && (epoch_of(word) > acknowledged[w] || (word & gone) || departed))

ltl every_waiter_leaves { []<> !is_held(0) && []<> !is_held(1) && []<> !is_held(2) }
#ifndef KILL_PUBLISHER
ltl sleepers_are_seen {
    [] ((asleep[0] || asleep[1] || asleep[2] -> (word & sleeper) || on_the_way) &&
        ((asleep[0] && is_held(0)) || (asleep[1] && is_held(1)) || (asleep[2] && is_held(2)) -> on_the_way))
}
#endif

/* ---- publisher ---- */

inline wake_sleepers() {
#ifdef BROKEN_WAKE_ONE
    if
    :: asleep[0] -> asleep[0] = false
    :: else -> asleep[1] = false
    fi
#else
    asleep[0] = false;
    asleep[1] = false;
    asleep[2] = false
#endif
}

#ifdef BROKEN_NO_ROOM
#define has_room(w) true
#else
#define has_room(w) (acknowledged[w] + 2 >= epoch || !waiting[w])
#endif

proctype publisher() {
    byte epoch = 1;
    {
        do
        :: epoch <= last && has_room(0) && has_room(1) && has_room(2) -> /* room */
            contents[epoch % 2] = epoch;                                 /* fill */
            if                                                           /* publish */
#ifdef BROKEN_TEST_BEFORE_PUBLISH
            :: word & sleeper ->
                d_step { word = epoch << 1; epoch++; on_the_way = true };
                d_step { wake_sleepers(); on_the_way = false }
            :: else ->
                d_step { word = epoch << 1; epoch++ }
#else
            :: d_step { word & sleeper -> word = epoch << 1; epoch++; on_the_way = true };
                d_step { wake_sleepers(); on_the_way = false } /* wake */
            :: d_step { !(word & sleeper) -> word = epoch << 1; epoch++ }
#endif
            fi
        :: epoch > last -> break
        od
    } unless { publisher_killed }
}

#ifdef KILL_PUBLISHER
/* Sees the death of the publisher and tells everybody. */
proctype messenger() {
end:
    publisher_killed;
#ifdef BROKEN_NOTICE_BESIDE
    departed = true;
    d_step { wake_sleepers() }
#else
    if
#ifdef BROKEN_NOTICE_IF_ARMED
    :: d_step { word & sleeper -> word = (word | gone) & ~sleeper };
        d_step { wake_sleepers() }
    :: d_step { !(word & sleeper) -> word = word | gone }
#else
    :: d_step { word = (word | gone) & ~sleeper };
        d_step { wake_sleepers() }
#endif
    fi
#endif
}
#endif

/* ---- waiters ---- */

proctype waiter(byte me) {
    byte seen;
    {
        do
        :: seen = word; /* look */
            if
            :: d_step {
                   is_published(seen, acknowledged[me] + 1) ->
                   assert(contents[(acknowledged[me] + 1) % 2] == acknowledged[me] + 1) /* read */
               };
               if /* acknowledge */
               :: d_step { acknowledged[me] + 1 == last -> acknowledged[me]++; waiting[me] = false; seen = 0 };
                   break
               :: d_step { acknowledged[me] + 1 < last -> acknowledged[me]++; seen = 0 }
               fi
#ifdef KILL_PUBLISHER
            :: !is_published(seen, acknowledged[me] + 1) && ((seen & gone) || departed) ->
                d_step { waiting[me] = false; seen = 0 };
                break
#endif
            :: else ->
                if /* compare-exchange */
#ifdef BROKEN_FETCH_OR
                :: d_step { word = word | sleeper; seen = word }
#else
                :: seen & sleeper
                :: d_step { !(seen & sleeper) && word == seen -> word = seen | sleeper; seen = word }
                :: d_step { !(seen & sleeper) && word != seen -> seen = 0 }
#endif
                fi;
                if
#ifdef BROKEN_NO_COMPARE
                :: seen & sleeper -> asleep[me] = true;
#else
                :: d_step { seen & sleeper && word == seen -> asleep[me] = true }; /* compare and enqueue */
#endif
                    if
                    :: d_step { !asleep[me] -> seen = 0 } /* sleep */
#ifdef TIME_LIMIT
                    :: d_step { asleep[me] -> asleep[me] = false; seen = 0 }
#endif
                    fi
#ifndef BROKEN_NO_COMPARE
                :: d_step { seen & sleeper && word != seen -> seen = 0 }
#endif
                :: !(seen & sleeper) /* the compare-exchange failed */
                fi
            fi
        od
    } unless { d_step { killed && me == 0 -> seen = 0 } }
}

/* ---- what comes from outside: some of it, all or nothing, so that nobody can count on it ---- */

proctype fate() {
    byte spurious;
    do
    :: d_step { spurious < SPURIOUS && asleep[0] -> asleep[0] = false; spurious++ }
    :: d_step { spurious < SPURIOUS && asleep[1] -> asleep[1] = false; spurious++ }
    :: d_step { spurious < SPURIOUS && asleep[2] -> asleep[2] = false; spurious++ }
    :: d_step { waiting[0] -> waiting[0] = false; asleep[0] = false; killed = true }
#ifdef KILL_PUBLISHER
    :: d_step { !publisher_killed -> publisher_killed = true }
#endif
    :: d_step { true -> spurious = 0 } -> break
    od
}

init {
    atomic {
        if
        :: last = 1
        :: last = 2
        :: last = EPOCHS
        fi;
        waiting[0] = true;
        waiting[1] = true;
        run waiter(0);
        run waiter(1);
#if WAITERS > 2
        waiting[2] = true;
        run waiter(2);
#endif
        run publisher();
#ifdef KILL_PUBLISHER
        run messenger();
#endif
        run fate()
    }
}
