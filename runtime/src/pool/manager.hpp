// Pools over the ranks of a job.
//
// rank 0 has the Manager: a pool of its main is spread over sites, one for each machine that has workers of it (its own
// machine's is an OwnSite). Every other rank serves: the one that leads its machine (members.hpp) keeps an engine for each
// pool, runs the batches it is given and sends back their results; the others have nothing to do but to wait for the end.
// User code runs in the engines' children, never in a rank's own process.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "pool/members.hpp"
#include "pool/rank_messages.hpp"
#include "pool/site.hpp"
#include "spmd/post.hpp"

namespace rankpool::pool {

class RankSite;

class Manager {
  public:
    /// `post` must outlive it and hand its messages to handle().
    explicit Manager(comm::Post& post);

    /// The sites of a new pool of `processes` workers (0: what the ranks can take), spread evenly. `size` gets how many.
    std::vector<std::unique_ptr<Site>> open_sites(int processes, const EngineOptions& options, int& size);
    /// On the post's thread.
    void handle(comm::Message&& message);
    /// How soon a message of theirs should be seen.
    std::chrono::nanoseconds within();
    /// Tells the other ranks to end, with this exit code.
    void end_ranks(int exit_code);
    /// Whether SIGTERM and SIGUSR1 on the other ranks are to be told to this one (note_signal). They do when this returns.
    void watch_signals(bool watched);
    /// Ends the pools of the other ranks, then these ranks' service, then the post: all of it without waiting.
    void leave();

  private:
    friend class RankSite;
    void leave_if_closed();

    comm::Post& post_;
    std::mutex mutex_;
    std::condition_variable changed_;
    const bool apart_ = every_rank_leads();
    std::vector<Member> members_;  // by rank
    int told_ = 0;                 // ranks that said what they bring
    std::uint64_t next_pool_ = 1;
    std::map<std::pair<int, std::uint64_t>, RankSite*> sites_;
    int watching_ = 0;  // ranks that said so
    bool leaving_ = false, left_ = false;
};

/// What a rank other than 0 does: serves rank 0's pools until told to end. Returns the job's exit code.
int serve_pools(comm::Post::Of of, std::shared_ptr<comm::Transport> transport);

}  // namespace rankpool::pool
