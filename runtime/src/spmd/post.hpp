// The post office of ranks that have pools: one thread that owns their transport, for everybody else in the process.
//
// rank 0's program runs in main, so its transport is served by a thread of the post's own; the other ranks have nothing
// else to do and serve it themselves. The transport is the job's own in run(), whose end is the job's end, or that of a
// communicator, which leaves the rest of the job alone.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <rankpool/comm/transport.hpp>

namespace rankpool::comm {

class Post {
  public:
    using Handler = std::function<void(Message&&)>;
    using Open = std::function<std::shared_ptr<Transport>()>;
    enum class Of { job, communicator };

    /// How soon a message must be seen: asked before each wait.
    using Within = std::function<std::chrono::nanoseconds()>;

    /// Opens the transport on a thread of its own and serves it there. Throws what `open` throws.
    Post(Of of, Open open, Handler handler, Within within);
    /// Takes a transport over and serves it in serve().
    Post(Of of, std::shared_ptr<Transport> transport, Handler handler, Within within);
    ~Post();
    Post(const Post&) = delete;
    Post& operator=(const Post&) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }
    /// As the transport's.
    const Neighbours& neighbours() const { return neighbours_; }

    /// From any thread; returns at once. Messages to one rank arrive in the order sent.
    void send(int destination, wire::Buffer bytes);
    /// Serves the transport on this thread until stop().
    void serve();
    /// Everything sent so far goes out, then a job's transport is finished (collective) and serving ends.
    void stop();

  private:
    void loop();

    Of of_;
    std::shared_ptr<Transport> transport_;
    Handler handler_;
    Within within_;
    int rank_ = 0, size_ = 1;
    Neighbours neighbours_;
    std::mutex mutex_;
    std::deque<std::pair<int, wire::Buffer>> outgoing_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace rankpool::comm
