// A call whose input is read while its results are taken: imap and imap_unordered.
//
// At most `window` items are read ahead of the consumer. They go to the workers in chunks, each a job (a batch) of its own;
// small items make the chunks grow. Results wait here until they are asked for. Items are read in the consumer's thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "pool/core.hpp"
#include "pool/job.hpp"
#include <rankpool/pool/call.hpp>

namespace rankpool::pool {

class Stream : public std::enable_shared_from_this<Stream> {
  public:
    Stream(std::shared_ptr<Core> core, std::shared_ptr<const KnownFunction> function, const MapOptions& options, bool ordered, Pull pull);
    ~Stream();

    /// Reads the first items.
    void start();
    StreamItem next(Deadline until);
    /// Reads the whole input and waits for its results, which stay here.
    void finish();
    void drop();
    /// The pool was terminated: what is missing will not come.
    void pool_ended();

  private:
    class Chunk;
    struct Ready {
        wire::Buffer bytes;
        std::exception_ptr error;
        std::optional<Failure> failure;
    };
    void fill(std::uint64_t window);
    bool read_item(Chunk& chunk);
    void give(std::shared_ptr<Chunk> chunk);
    void arrived(std::uint64_t index, Ready ready);
    void chunk_over(Chunk& chunk);
    bool has_next_locked() const;
    bool room_locked(std::uint64_t window) const;
    StreamItem take_locked();
    template <class Condition>
    bool wait(std::unique_lock<std::mutex>& lock, Deadline until, Condition&& condition);

    std::shared_ptr<Core> core_;
    bool ordered_;
    std::uint64_t window_, chunk_items_;
    bool chunk_fixed_;  // by the caller
    std::uint32_t item_size_, result_size_;

    std::mutex reading_;  // held while items are read
    Pull pull_;

    std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::shared_ptr<const KnownFunction> function_;
    std::uint64_t read_ = 0;   // items read so far
    std::uint64_t taken_ = 0;  // results handed out so far
    bool input_ended_ = false, ended_ = false, told_ended_ = false;
    std::map<std::uint64_t, Ready> ready_;
    std::deque<std::uint64_t> order_;  // of completion, where that is the order
    std::map<Chunk*, std::shared_ptr<Chunk>> chunks_;
    std::vector<std::uint64_t> load_;  // by site: items given and not over
};

}  // namespace rankpool::pool
