// Ranks in trouble, and what the others hear of it.
//
// Rank 1 does what the first word says, once each of the others has told it that it is about to wait for it; they wait
// in the way that the second word says: barrier, bcast or recv.
//
//     trouble rank_dies WAIT         it ends itself by SIGKILL
//     trouble rank_leaves WAIT       it returns 3 from main
//     trouble rank_exits WAIT        it calls std::exit(0)
//     trouble throws WAIT            it throws std::runtime_error("trouble at rank 1")
//     trouble abort WAIT             it calls world.abort(42)
//     trouble … WAIT deaf            ranks ignore SIGTERM, by which rankrun ends those that wait for one that failed
//     trouble idle WAIT              they wait for rank 0, which ends with 1 if they use the CPU meanwhile
//
// Or rank 1 calls something else than the others; where they catch the error, each says "rank R caught: TEXT" and
// returns 7.
//
//     trouble disagree_operation | disagree_root | disagree_size | disagree_op [caught]
//
// A rank that hears of nothing says "rank R got through".
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using rankpool::Communicator;
using namespace std::chrono_literals;

constexpr int about_to_wait = 1, awaited_message = 2;  // tags

std::string name_of(const Communicator& world) { return "rank " + std::to_string(world.rank()); }

void say(const std::string& text) {
    // One write, whatever MPI made of the stream: the ranks' words must not mix.
    const std::string line = text + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
}

void wait_for(Communicator& world, int rank, const std::string& way) {
    if (way == "barrier") world.barrier();
    if (way == "bcast") world.bcast(0, rank);
    if (way == "recv") world.recv<int>(rank, awaited_message);
}

// What the awaited rank has to do for the others' wait to end.
void end_the_wait(Communicator& world, const std::string& way) {
    if (way != "recv") return wait_for(world, world.rank(), way);
    for (int other = 0; other < world.size(); ++other)
        if (other != world.rank()) world.send(0, other, awaited_message);
}

// ---- idle ----

bool is_asleep(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    return text.at(text.rfind(')') + 2) == 'S';
}

// Of all threads of another process, and finer than the ticks in /proc.
std::chrono::nanoseconds cpu_time_of(pid_t pid) {
    clockid_t clock = 0;
    timespec time{};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        throw std::runtime_error("no CPU clock of process " + std::to_string(pid));
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Whether these processes, which are about to wait, do so without using a CPU.
bool are_idle(const std::vector<pid_t>& pids) {
    using Clock = std::chrono::steady_clock;
    for (const auto end = Clock::now() + 20s; !std::all_of(pids.begin(), pids.end(), is_asleep); sched_yield())
        if (Clock::now() > end) throw std::runtime_error("the ranks that wait do not sleep");
    const auto used = [&] {
        std::chrono::nanoseconds sum{0};
        for (const pid_t pid : pids) sum += cpu_time_of(pid);
        return sum;
    };
    const auto before = used();
    const auto begin = Clock::now();
    std::this_thread::sleep_for(300ms);
    const auto time = used() - before;
    const auto in_us = [](auto duration) {
        return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(duration).count()) + " us";
    };
    say("the ranks that wait used " + in_us(time) + " of CPU in " + in_us(Clock::now() - begin));
    return time < 30ms;
}

// ---- the rest ----

int trouble(Communicator& world, const std::string& what, const std::string& way) {
    const int awaited = what == "idle" ? 0 : 1;
    const std::vector<pid_t> pids = world.gather(getpid(), awaited);
    if (world.rank() != awaited) {
        world.send(0, awaited, about_to_wait);
        wait_for(world, awaited, way);
        say(name_of(world) + " got through");
        return 0;
    }
    std::vector<pid_t> others;
    for (int rank = 0; rank < world.size(); ++rank) {
        if (rank == awaited) continue;
        world.recv<int>(rank, about_to_wait);
        others.push_back(pids[static_cast<std::size_t>(rank)]);
    }
    if (what == "rank_dies") raise(SIGKILL);
    if (what == "rank_leaves") return 3;
    if (what == "rank_exits") std::exit(0);
    if (what == "throws") throw std::runtime_error("trouble at " + name_of(world));
    if (what == "abort") world.abort(42);
    if (what == "abort_without_code") world.abort(0);
    if (what != "idle") return 64;
    const bool idle = are_idle(others);
    end_the_wait(world, way);
    return idle ? 0 : 1;
}

void disagree(Communicator& world, const std::string& what) {
    const bool odd = world.rank() == 1;
    if (what == "disagree_operation") {
        if (odd)
            world.bcast(7, 0);
        else
            world.barrier();
    }
    if (what == "disagree_root") world.bcast(7, odd ? 1 : 0);
    if (what == "disagree_size") {
        const std::vector<int> own(odd ? 3 : 2);
        std::vector<int> all(own.size() * static_cast<std::size_t>(world.size()));
        world.allgather_into(own, all);
    }
    if (what == "disagree_op") {
        if (odd)
            world.allreduce(7, std::multiplies<>{});
        else
            world.allreduce(7, std::plus<>{});
    }
    say(name_of(world) + " got through");
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.empty()) return 64;
    const std::string &what = words.front(), &last = words.back();
    const bool disagrees = what.rfind("disagree_", 0) == 0;
    if (!disagrees && words.size() < 2) return 64;
    if (last == "deaf") std::signal(SIGTERM, SIG_IGN);
    return rankpool::spmd(argc, argv, [&](Communicator& world) {
        if (!disagrees) return trouble(world, what, words[1]);
        try {
            disagree(world, what);
        } catch (const rankpool::Error& error) {
            if (last != "caught") throw;
            say(name_of(world) + " caught: " + error.what());
            return 7;
        }
        return 0;
    });
}
