#include "spmd/post.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <optional>

#include "os/blocked_signals.hpp"

namespace rankpool::comm {

using namespace std::chrono_literals;

Post::Post(Of of, Open open, Handler handler, Within within) : of_(of), handler_(std::move(handler)), within_(std::move(within)) {
    std::promise<void> opened;
    auto ready = opened.get_future();
    std::optional<os::BlockedSignals> blocked(std::in_place);
    thread_ = std::thread([this, &opened, open = std::move(open)] {
        try {
            transport_ = open();
            rank_ = transport_->rank();
            size_ = transport_->size();
            neighbours_ = transport_->neighbours();
            opened.set_value();
        } catch (...) {
            opened.set_exception(std::current_exception());
            return;
        }
        loop();
    });
    blocked.reset();
    try {
        ready.get();
    } catch (...) {
        thread_.join();
        throw;
    }
}

Post::Post(Of of, std::shared_ptr<Transport> transport, Handler handler, Within within)
    : of_(of),
      transport_(std::move(transport)),
      handler_(std::move(handler)),
      within_(std::move(within)),
      rank_(transport_->rank()),
      size_(transport_->size()),
      neighbours_(transport_->neighbours()) {}

Post::~Post() {
    if (thread_.joinable()) {
        stop();
        thread_.join();
    }
}

void Post::send(int destination, wire::Buffer bytes) {
    {
        std::lock_guard lock(mutex_);
        outgoing_.emplace_back(destination, std::move(bytes));
    }
    transport_->wake();
}

void Post::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    transport_->wake();
}

void Post::serve() { loop(); }

void Post::loop() {
    try {
        for (;;) {
            bool moved = false;
            while (auto message = transport_->try_receive(any, tag_pool)) {
                handler_(std::move(*message));
                moved = true;
            }
            std::deque<std::pair<int, wire::Buffer>> outgoing;
            bool stopping;
            {
                std::lock_guard lock(mutex_);
                outgoing.swap(outgoing_);
                stopping = stopping_;
            }
            for (auto& [destination, bytes] : outgoing) {
                transport_->post(destination, tag_pool, bytes);
                bytes = wire::Buffer();
            }
            if (stopping && outgoing.empty() && !moved) break;
            if (!moved && outgoing.empty()) transport_->wait(1s, within_());
        }
        if (of_ == Of::job) (void)transport_->finish(0);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankpool: rank %d: the connection to the other ranks failed: %s\n", rank_, error.what());
        std::fflush(stderr);
        transport_->abort(1);
    }
}

}  // namespace rankpool::comm
