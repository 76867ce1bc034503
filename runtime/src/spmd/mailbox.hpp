// Messages that have arrived and receives that wait for one, each in their order: a message goes to the receive that was
// begun first of those that it fits, a receive takes the message that arrived first of those that fit.
//
// In the header alone: the MPI modules do not link the library.
#pragma once

#include <algorithm>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include <rankpool/comm/transport.hpp>

namespace rankpool::comm {

/// A receive that was begun.
struct Posted {
    int source = any;
    int tag = any;
    bool done = false;
    Message message;
};

class Mailbox {
  public:
    bool has_messages() const { return !arrived_.empty(); }
    bool has_receives() const { return !posted_.empty(); }

    /// Whether a receive got it; else it stays here.
    bool deliver(Message message) {
        if (message.number == 0) message.number = next_number();
        const auto posted = std::find_if(posted_.begin(), posted_.end(), [&](const auto& each) { return fits(*each, message); });
        if (posted == posted_.end()) {
            arrived_.push_back(std::move(message));
            return false;
        }
        (*posted)->message = std::move(message);
        (*posted)->done = true;
        posted_.erase(posted);
        return true;
    }

    /// What is known of the first message that fits.
    std::optional<Status> look(int source, int tag) const {
        const auto message = find(source, tag);
        if (message == arrived_.end()) return std::nullopt;
        return Status{message->source, message->tag, message->bytes.size()};
    }
    std::optional<Message> take(int source, int tag) {
        const auto message = find(source, tag);
        if (message == arrived_.end()) return std::nullopt;
        Message taken = std::move(*message);
        arrived_.erase(message);
        return taken;
    }

    /// A message for the receive that is here already, if there is one.
    bool fill(Posted& posted) {
        auto message = take(posted.source, posted.tag);
        if (!message) return false;
        posted.message = std::move(*message);
        posted.done = true;
        return true;
    }
    void post(std::shared_ptr<Posted> posted) { posted_.push_back(std::move(posted)); }
    /// Nobody wants it any more: its message, if it has one, goes to another receive, or to its place among those that wait.
    /// How many receives wait less than before.
    std::size_t withdraw(const std::shared_ptr<Posted>& posted) {
        const std::size_t waited = std::erase(posted_, posted);
        if (!posted->done) return waited;
        Message message = std::move(posted->message);
        if (std::any_of(posted_.begin(), posted_.end(), [&](const auto& each) { return fits(*each, message); })) {
            deliver(std::move(message));
            return waited + 1;
        }
        const auto later = std::find_if(arrived_.begin(), arrived_.end(), [&](const Message& other) { return other.number > message.number; });
        arrived_.insert(later, std::move(message));
        return waited;
    }

    /// Whether a receive that waits here could take a message that another, of `source` and `tag`, could take too.
    bool could_take(int source, int tag) const {
        const auto meet = [](int a, int b) { return a == any || b == any || a == b; };
        return std::any_of(posted_.begin(), posted_.end(), [&](const auto& each) { return meet(each->source, source) && meet(each->tag, tag); });
    }

    std::uint64_t next_number() { return ++arrivals_; }

  private:
    static bool fits(int source, int tag, const Message& message) {
        if (source != any && source != message.source) return false;
        return tag == any ? message.tag < first_internal_tag : tag == message.tag;
    }
    static bool fits(const Posted& posted, const Message& message) { return fits(posted.source, posted.tag, message); }
    std::deque<Message>::const_iterator find(int source, int tag) const {
        return std::find_if(arrived_.begin(), arrived_.end(), [&](const Message& message) { return fits(source, tag, message); });
    }
    std::deque<Message>::iterator find(int source, int tag) {
        return std::find_if(arrived_.begin(), arrived_.end(), [&](const Message& message) { return fits(source, tag, message); });
    }

    std::deque<Message> arrived_;
    std::list<std::shared_ptr<Posted>> posted_;
    std::uint64_t arrivals_ = 0;
};

}  // namespace rankpool::comm
