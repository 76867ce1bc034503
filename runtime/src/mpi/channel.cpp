#include "mpi/channel.hpp"

#include <sched.h>

#include <algorithm>
#include <thread>

#include "mpi/types.hpp"

namespace rankpool::mpi {
namespace {

using namespace std::chrono_literals;

// Messages of this size an MPI takes over at once, whether or not somebody receives them.
constexpr std::size_t small_bytes = 2048;
// The longest time until the next look for a message, unless somebody wakes the waiting thread.
constexpr std::chrono::nanoseconds longest_sleep = 1ms;

int mpi_source(int source) { return source == comm::any ? MPI_ANY_SOURCE : source; }
int mpi_tag(int tag) { return tag == comm::any ? MPI_ANY_TAG : tag; }

std::size_t bytes_of(const MPI_Status& status) {
    MPI_Count bytes = 0;
    check(MPI_Get_elements_x(&status, MPI_BYTE, &bytes), "MPI_Get_elements_x");
    return static_cast<std::size_t>(bytes);
}

}  // namespace

Channel::Channel(MPI_Comm communicator, MPI_Comm control) : communicator_(communicator), control_(control) {
    check(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(communicator_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(communicator_, &size_), "MPI_Comm_size");
    sent_.resize(static_cast<std::size_t>(size_));
    received_.resize(static_cast<std::size_t>(size_));
}

Channel::~Channel() { close(); }

void Channel::close() {
    int finalized = 0;
    if (communicator_ == MPI_COMM_NULL || MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
    // To wait for sends that have not left could be for ever: their bytes stay until the process ends.
    static auto* left_behind = new std::list<Sent>;
    static std::mutex left_behind_mutex;
    std::lock_guard lock(left_behind_mutex);
    left_behind->splice(left_behind->end(), leaving_);
    MPI_Comm_free(&communicator_);
    if (control_ != MPI_COMM_NULL) MPI_Comm_free(&control_);
}

// ---- sending ----

void Channel::send(int destination, int tag, std::span<const std::byte> bytes) {
    if (destination == rank_) {
        comm::Message own{rank_, tag, {}};
        own.bytes.append(bytes.data(), bytes.size());
        mailbox_.deliver(std::move(own));
        return;
    }
    if (bytes.size() <= small_bytes) {
        const Extent extent(bytes.size());
        return check(MPI_Send(bytes.data(), extent.count, extent.type, destination, tag, communicator_), "MPI_Send");
    }
    wire::Buffer own;
    own.append(bytes.data(), bytes.size());
    send_buffer(destination, tag, std::move(own));
}

void Channel::send_buffer(int destination, int tag, wire::Buffer bytes) {
    constexpr std::size_t most_bytes = std::size_t{256} << 20;  // that are on their way
    start_send(destination, tag, std::move(bytes));
    if (leaving_bytes_ <= most_bytes || destination == rank_) return;
    // Waits for this one, as any large message may: that others leave is up to ranks that may wait for this one.
    const auto own = std::prev(leaving_.end());
    for (int done = 0; done == 0;) {
        if (mailbox_.has_receives()) {
            take_in();
            check(MPI_Test(&own->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
        } else {
            check(MPI_Wait(&own->request, MPI_STATUS_IGNORE), "MPI_Wait");
            done = 1;
        }
    }
    leaving_bytes_ -= own->bytes.size();
    leaving_.erase(own);
}

void Channel::post(int destination, int tag, std::span<const std::byte> bytes) {
    if (tag == comm::tag_pool) ++sent_[static_cast<std::size_t>(destination)];
    const Extent extent(bytes.size());
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(bytes.data(), extent.count, extent.type, destination, tag, communicator_, &request), "MPI_Isend");
    for (int done = 0, turns = 0;; ++turns) {
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
        if (done != 0) break;
        if (!take_in() && turns > 1000) std::this_thread::sleep_for(20us);
    }
}

void Channel::start_send(int destination, int tag, wire::Buffer bytes) {
    drop_sent();
    if (destination == rank_) return send(destination, tag, bytes);
    const std::size_t size = bytes.size();
    leaving_.push_back({MPI_REQUEST_NULL, std::move(bytes)});
    const Extent extent(size);
    check(MPI_Isend(leaving_.back().bytes.data(), extent.count, extent.type, destination, tag, communicator_, &leaving_.back().request), "MPI_Isend");
    leaving_bytes_ += size;
}

void Channel::drop_sent() {
    // Some at a time, in turn: there may be thousands that nobody receives yet.
    constexpr std::size_t most_looks = 8;
    for (std::size_t looks = std::min(most_looks, leaving_.size()); looks > 0; --looks) {
        int done = 0;
        check(MPI_Test(&leaving_.front().request, &done, MPI_STATUS_IGNORE), "MPI_Test");
        if (done == 0) {
            leaving_.splice(leaving_.end(), leaving_, leaving_.begin());
            continue;
        }
        leaving_bytes_ -= leaving_.front().bytes.size();
        leaving_.pop_front();
    }
}

// ---- receiving ----

void Channel::take(MPI_Message handle, const MPI_Status& status, comm::Message& message) {
    const std::size_t bytes = bytes_of(status);
    message.source = status.MPI_SOURCE;
    message.tag = status.MPI_TAG;
    message.bytes.clear();
    const Extent extent(bytes);
    check(MPI_Mrecv(message.bytes.grow(bytes), extent.count, extent.type, &handle, MPI_STATUS_IGNORE), "MPI_Mrecv");
    if (message.tag == comm::tag_pool) ++received_[static_cast<std::size_t>(message.source)];
}

bool Channel::take_in() {
    int found = 0;
    MPI_Message handle = MPI_MESSAGE_NULL;
    MPI_Status status;
    check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_, &found, &handle, &status), "MPI_Improbe");
    if (found == 0) return false;
    comm::Message message;
    take(handle, status, message);
    mailbox_.deliver(std::move(message));
    return true;
}

void Channel::check_somebody_sends(int source) const {
    if (source == rank_ || size_ == 1)
        throw Error("rank " + std::to_string(rank_) + " waits to receive from itself, and has sent itself nothing that fits: nobody else can");
}

template <class Ready>
void Channel::poll(Ready&& ready) {
    for (int turns = 0; !ready();) {
        if (take_in()) continue;
        if (++turns % 64 == 0) sched_yield();
    }
}

std::optional<comm::Message> Channel::try_receive(int source, int tag) {
    while (take_in()) {
    }
    return mailbox_.take(source, tag);
}

comm::Message Channel::receive(int source, int tag) {
    std::optional<comm::Message> message;
    const auto taken = [&] { return (message = mailbox_.take(source, tag)).has_value(); };
    if (taken()) return std::move(*message);
    check_somebody_sends(source);
    if (mailbox_.has_receives()) {
        poll(taken);
    } else {
        MPI_Message handle = MPI_MESSAGE_NULL;
        MPI_Status status;
        check(MPI_Mprobe(mpi_source(source), mpi_tag(tag), communicator_, &handle, &status), "MPI_Mprobe");
        take(handle, status, message.emplace());
    }
    return std::move(*message);
}

Status Channel::receive_into(int source, int tag, std::span<std::byte> to) {
    if (mailbox_.has_receives() || mailbox_.look(source, tag)) {
        const comm::Message message = receive(source, tag);
        if (message.bytes.size() == to.size()) wire::copy_bytes(to.data(), message.bytes.data(), to.size());
        return {message.source, message.tag, message.bytes.size()};
    }
    check_somebody_sends(source);
    const Extent extent(to.size());
    MPI_Status status;
    check(MPI_Recv(to.data(), extent.count, extent.type, mpi_source(source), mpi_tag(tag), communicator_, &status), "MPI_Recv");
    return {status.MPI_SOURCE, status.MPI_TAG, bytes_of(status)};
}

std::shared_ptr<Channel::Posted> Channel::start_receive(int source, int tag, std::optional<std::size_t> bytes) {
    auto posted = std::make_shared<Posted>();
    posted->source = source;
    posted->tag = tag;
    if (mailbox_.fill(*posted)) {
        // It has arrived already.
    } else if (bytes && source != rank_ && source != comm::any && !mailbox_.could_take(source, tag)) {
        const Extent extent(*bytes);
        check(MPI_Irecv(posted->message.bytes.grow(*bytes), extent.count, extent.type, mpi_source(source), mpi_tag(tag), communicator_, &posted->request), "MPI_Irecv");
    } else {
        mailbox_.post(posted);
    }
    return posted;
}

void Channel::complete(Posted& posted, const MPI_Status& status) {
    posted.done = true;
    posted.message.source = status.MPI_SOURCE;
    posted.message.tag = status.MPI_TAG;
    posted.message.number = mailbox_.next_number();
    posted.message.bytes.shrink(bytes_of(status));
}

bool Channel::test(Posted& posted) {
    if (posted.request != MPI_REQUEST_NULL) {
        int done = 0;
        MPI_Status status;
        check(MPI_Test(&posted.request, &done, &status), "MPI_Test");
        if (done != 0) complete(posted, status);
        return posted.done;
    }
    while (!posted.done && take_in()) {
    }
    return posted.done;
}

void Channel::wait(Posted& posted) {
    if (posted.done) return;
    if (posted.request != MPI_REQUEST_NULL && !mailbox_.has_receives()) {
        MPI_Status status;
        check(MPI_Wait(&posted.request, &status), "MPI_Wait");
        return complete(posted, status);
    }
    if (posted.request == MPI_REQUEST_NULL) check_somebody_sends(posted.source);
    poll([&] { return test(posted); });
}

void Channel::withdraw(const std::shared_ptr<Posted>& posted) {
    if (posted->request != MPI_REQUEST_NULL) {
        MPI_Status status;
        int cancelled = 0;
        MPI_Cancel(&posted->request);
        MPI_Wait(&posted->request, &status);
        MPI_Test_cancelled(&status, &cancelled);
        if (cancelled == 0) complete(*posted, status);
    }
    mailbox_.withdraw(posted);
}

std::optional<Status> Channel::try_probe(int source, int tag) {
    while (take_in()) {
    }
    return mailbox_.look(source, tag);
}

Status Channel::probe(int source, int tag) {
    std::optional<Status> status;
    const auto here = [&] { return (status = mailbox_.look(source, tag)).has_value(); };
    if (!here()) check_somebody_sends(source);
    poll(here);
    return *status;
}

// ---- a pool's service ----

void Channel::wait_for_message(std::chrono::nanoseconds limit, std::chrono::nanoseconds within) {
    if (mailbox_.has_messages()) return;
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, std::min<std::chrono::nanoseconds>({limit, within, longest_sleep}), [&] { return wake_; });
    wake_ = false;
}

void Channel::wake() {
    {
        std::lock_guard lock(mutex_);
        wake_ = true;
    }
    woken_.notify_one();
}

void Channel::finish() {
    // What nobody waits for any more (a rank's greeting, results of a pool that main left) is taken in all the same: a
    // message that was never received is an error in MPI's eyes, and MPICH with UCX says so on standard output.
    std::vector<unsigned long long> expected(sent_.size());
    // Not blocking: another rank may be in the middle of a long message to this one.
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Ialltoall(sent_.data(), 1, MPI_UNSIGNED_LONG_LONG, expected.data(), 1, MPI_UNSIGNED_LONG_LONG, control_, &request),
          "MPI_Ialltoall");
    for (int told = 0; told == 0 || received_ != expected || !leaving_.empty();) {
        if (!take_in()) std::this_thread::sleep_for(20us);
        drop_sent();
        if (told == 0) check(MPI_Test(&request, &told, MPI_STATUS_IGNORE), "MPI_Test");
    }
    // The others' messages that the program did not receive, until nobody has any under way.
    check(MPI_Ibarrier(control_, &request), "MPI_Ibarrier");
    for (int done = 0; done == 0;) {
        if (!take_in()) std::this_thread::sleep_for(20us);
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    }
}

}  // namespace rankpool::mpi
