#include "shm/shm_transport.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include <rankpool/error.hpp>

namespace rankpool::shm {
namespace {

std::vector<int> first_ranks(int count) {
    std::vector<int> ranks(static_cast<std::size_t>(count));
    std::iota(ranks.begin(), ranks.end(), 0);
    return ranks;
}

}  // namespace

// A process's part in a communicator: its mailbox, for as long as the communicator or a receive on it lives.
struct ShmTransport::Membership {
    std::shared_ptr<Endpoint> endpoint;
    Context context;
    Membership(std::shared_ptr<Endpoint> e, Context c) : endpoint(std::move(e)), context(c) {}
    ~Membership() { endpoint->forget(context); }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;
};

namespace {

class Send final : public comm::Operation {
  public:
    Send(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Endpoint::Outgoing> outgoing)
        : endpoint_(std::move(endpoint)), outgoing_(std::move(outgoing)) {}
    bool test() override { return endpoint_->is_sent(*outgoing_); }
    void wait() override { endpoint_->wait_sent(*outgoing_); }

  private:
    std::shared_ptr<Endpoint> endpoint_;
    std::shared_ptr<Endpoint::Outgoing> outgoing_;  // which the endpoint keeps, too, until it has left
};

}  // namespace

class ShmTransport::Receive final : public comm::Operation {
  public:
    Receive(std::shared_ptr<Membership> membership, std::vector<int> ranks, int source, int tag)
        : membership_(std::move(membership)), ranks_(std::move(ranks)), posted_(endpoint().start_receive(membership_->context, source, tag)) {}
    ~Receive() override {
        if (!taken_) endpoint().withdraw(membership_->context, posted_);
    }
    Receive(const Receive&) = delete;
    Receive& operator=(const Receive&) = delete;

    bool test() override { return endpoint().is_received(*posted_); }
    void wait() override { endpoint().wait_received(*posted_, ranks_); }
    comm::Message take() override {
        taken_ = true;
        comm::Message message = std::move(posted_->message);
        message.source = static_cast<int>(std::find(ranks_.begin(), ranks_.end(), message.source) - ranks_.begin());
        return message;
    }

  private:
    Endpoint& endpoint() const { return *membership_->endpoint; }

    std::shared_ptr<Membership> membership_;
    std::vector<int> ranks_;
    std::shared_ptr<comm::Posted> posted_;
    bool taken_ = false;
};

ShmTransport::ShmTransport(JobMemory memory, int rank)
    : endpoint_(std::make_shared<Endpoint>(std::move(memory), rank)),
      context_(0),
      membership_(std::make_shared<Membership>(endpoint_, context_)),
      ranks_(first_ranks(endpoint_->memory().ranks())),
      own_(rank),
      collectives_(*endpoint_, context_, ranks_, own_, std::nullopt) {}

ShmTransport::ShmTransport(std::shared_ptr<Endpoint> endpoint, Context context, std::vector<int> ranks, int own, std::optional<bool> single_copy)
    : endpoint_(std::move(endpoint)),
      context_(context),
      membership_(std::make_shared<Membership>(endpoint_, context_)),
      ranks_(std::move(ranks)),
      own_(own),
      collectives_(*endpoint_, context_, ranks_, own_, single_copy) {}

ShmTransport::~ShmTransport() = default;

int ShmTransport::own_rank(int world_rank) const {
    return static_cast<int>(std::find(ranks_.begin(), ranks_.end(), world_rank) - ranks_.begin());
}

comm::Message ShmTransport::translated(comm::Message message) const {
    message.source = own_rank(message.source);
    return message;
}

Status ShmTransport::translated(Status status) const {
    status.source = own_rank(status.source);
    return status;
}

// ---- messages ----

void ShmTransport::send(int destination, int tag, std::span<const std::byte> bytes) { endpoint_->send(context_, world_rank(destination), tag, bytes); }

std::optional<comm::Message> ShmTransport::try_receive(int source, int tag) {
    auto message = endpoint_->try_receive(context_, world_rank(source), tag, seen_);
    if (message) message->source = own_rank(message->source);
    return message;
}

comm::Message ShmTransport::receive(int source, int tag) { return translated(endpoint_->receive(context_, world_rank(source), tag, ranks_)); }

std::unique_ptr<comm::Operation> ShmTransport::start_send(int destination, int tag, wire::Buffer bytes) {
    return std::make_unique<Send>(endpoint_, endpoint_->start_send(context_, world_rank(destination), tag, std::move(bytes)));
}

std::unique_ptr<comm::Operation> ShmTransport::start_receive(int source, int tag, std::optional<std::size_t>) {
    return std::make_unique<Receive>(membership_, ranks_, world_rank(source), tag);
}

std::optional<Status> ShmTransport::try_probe(int source, int tag) {
    const auto status = endpoint_->try_probe(context_, world_rank(source), tag);
    return status ? std::optional(translated(*status)) : std::nullopt;
}

Status ShmTransport::probe(int source, int tag) { return translated(endpoint_->probe(context_, world_rank(source), tag, ranks_)); }

// ---- communicators ----

std::shared_ptr<comm::Transport> ShmTransport::split(std::optional<int> color, int key) {
    struct Wish {
        int color = 0, key = 0, member = 0;
    };
    const Wish own{color.value_or(0), key, color ? 1 : 0};
    std::vector<Wish> wishes(ranks_.size());
    collectives_.allgather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(wishes)));
    std::vector<int> members;  // ranks of this communicator
    for (int rank = 0; rank < size(); ++rank) {
        const Wish& wish = wishes[static_cast<std::size_t>(rank)];
        if (color && wish.member != 0 && wish.color == own.color) members.push_back(rank);
    }
    std::stable_sort(members.begin(), members.end(), [&](int a, int b) { return wishes[static_cast<std::size_t>(a)].key < wishes[static_cast<std::size_t>(b)].key; });

    // The first of each group makes its area, and says what it is called; or why there is none.
    struct Made {
        Context context = 0;
        char why[180] = {};
    } made;
    if (!members.empty() && members.front() == own_) {
        try {
            made.context = endpoint_->memory().create_area(static_cast<int>(members.size()));
        } catch (const std::exception& error) {
            std::string_view(error.what()).copy(made.why, sizeof made.why - 1);
        }
    }
    std::vector<Made> all(ranks_.size());
    collectives_.allgather(std::as_bytes(std::span(&made, 1)), std::as_writable_bytes(std::span(all)));
    if (members.empty()) return nullptr;
    const Made& theirs = all[static_cast<std::size_t>(members.front())];
    if (theirs.context == 0) throw Error("a communicator could not be made: " + std::string(theirs.why, strnlen(theirs.why, sizeof theirs.why)));
    const int place = static_cast<int>(std::find(members.begin(), members.end(), own_) - members.begin());
    for (int& member : members) member = ranks_[static_cast<std::size_t>(member)];
    return std::shared_ptr<Transport>(new ShmTransport(endpoint_, theirs.context, std::move(members), place, collectives_.single_copy()));
}

void ShmTransport::abort(int exit_code) {
    std::fflush(nullptr);
    std::_Exit(exit_code);  // the launcher sees it and ends the other ranks
}

int ShmTransport::finish(int exit_code) {
    begin_end();
    // Nobody leaves before everybody has come here, taking in what still arrives: a rank that is slow must find its peers'
    // messages, and room for its own. By messages, because a rank that waits for one moves the others too.
    struct Code {
        int rank, code;
    } first{own_, exit_code};
    for (int distance = 1; distance < size(); distance *= 2) {
        send((own_ + distance) % size(), comm::tag_end, std::as_bytes(std::span(&first, 1)));
        const comm::Message message = receive((own_ - distance % size() + size()) % size(), comm::tag_end);
        Code other{};
        if (message.bytes.size() != sizeof other) throw Error("a rank ended the job in an unknown way");
        std::memcpy(&other, message.bytes.data(), sizeof other);
        if (other.code != 0 && (first.code == 0 || other.rank < first.rank)) first = other;
    }
    endpoint_->flush();
    return first.code;
}

}  // namespace rankpool::shm
