// The transport over MPI. This folder alone includes mpi.h; it is compiled once for each MPI into a module of its own.
//
// Blocks of one size: the MPI call of that name. Blocks of any size: their sizes, then the v-call; where an int cannot
// count the bytes of all of them, messages between the pairs. Reductions in rank order: a gather or allgather and a fold,
// long rows in slices, one a rank. Those marked native: MPI's own.
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "mpi/channel.hpp"
#include "mpi/hydra.hpp"
#include "mpi/machine.hpp"
#include "mpi/module.hpp"
#include "mpi/native.hpp"
#include "mpi/pmix.hpp"
#include "mpi/types.hpp"

namespace rankpool::mpi {
namespace {

using comm::Fold;
using comm::Place;
using comm::Sizes;

// Rows of all ranks up to this size are folded whole, by everyone who wants the result.
constexpr std::size_t fold_whole = std::size_t{64} << 10;

std::size_t sum(Sizes sizes) { return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}); }

class Receive final : public comm::Operation {
  public:
    Receive(std::shared_ptr<Channel> channel, int source, int tag, std::optional<std::size_t> bytes)
        : channel_(std::move(channel)), posted_(channel_->start_receive(source, tag, bytes)) {}
    ~Receive() override {
        if (!taken_) channel_->withdraw(posted_);
    }
    Receive(const Receive&) = delete;
    Receive& operator=(const Receive&) = delete;
    bool test() override { return channel_->test(*posted_); }
    void wait() override { channel_->wait(*posted_); }
    comm::Message take() override {
        taken_ = true;
        return std::move(posted_->message);
    }

  private:
    std::shared_ptr<Channel> channel_;
    std::shared_ptr<Channel::Posted> posted_;
    bool taken_ = false;
};

class MpiTransport final : public comm::Transport {
  public:
    explicit MpiTransport(MPI_Comm communicator, MPI_Comm control = MPI_COMM_NULL)
        : channel_(std::make_shared<Channel>(communicator, control)), communicator_(communicator) {}
    ~MpiTransport() override {
        int finalized = 0;
        if (bulk_ != MPI_COMM_NULL && MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) MPI_Comm_free(&bulk_);
    }
    MpiTransport(const MpiTransport&) = delete;
    MpiTransport& operator=(const MpiTransport&) = delete;

    int rank() const override { return channel_->rank(); }
    int size() const override { return channel_->size(); }
    comm::Neighbours neighbours() const override { return mpi::neighbours(comm()); }
    bool several_threads() const override {
        int provided = MPI_THREAD_SINGLE;
        check(MPI_Query_thread(&provided), "MPI_Query_thread");
        return provided == MPI_THREAD_MULTIPLE;
    }

    // ---- messages ----

    void send(int destination, int tag, std::span<const std::byte> bytes) override { channel_->send(destination, tag, bytes); }
    void post(int destination, int tag, std::span<const std::byte> bytes) override { channel_->post(destination, tag, bytes); }
    std::optional<comm::Message> try_receive(int source, int tag) override { return channel_->try_receive(source, tag); }
    comm::Message receive(int source, int tag) override { return channel_->receive(source, tag); }
    Status receive_into(int source, int tag, std::span<std::byte> to) override {
        const Status status = channel_->receive_into(source, tag, to);
        if (status.bytes != to.size()) wrong_size(status.source, status.tag, status.bytes, to.size());
        return status;
    }
    std::unique_ptr<comm::Operation> start_send(int destination, int tag, wire::Buffer bytes) override {
        channel_->start_send(destination, tag, std::move(bytes));
        return nullptr;
    }
    std::unique_ptr<comm::Operation> start_receive(int source, int tag, std::optional<std::size_t> bytes) override {
        return std::make_unique<Receive>(channel_, source, tag, bytes);
    }
    void send_buffer(int destination, int tag, wire::Buffer bytes) override { channel_->send_buffer(destination, tag, std::move(bytes)); }
    std::optional<Status> try_probe(int source, int tag) override { return channel_->try_probe(source, tag); }
    Status probe(int source, int tag) override { return channel_->probe(source, tag); }
    void wait(std::chrono::nanoseconds limit, std::chrono::nanoseconds within) override { channel_->wait_for_message(limit, within); }
    void wake() override { channel_->wake(); }

    // ---- blocks of one size ----

    void barrier() override { check(MPI_Barrier(comm()), "MPI_Barrier"); }

    void bcast(std::span<std::byte> bytes, int root) override {
        const Extent extent(bytes.size());
        check(MPI_Bcast(bytes.data(), extent.count, extent.type, root, comm()), "MPI_Bcast");
    }

    void scatter(std::span<const std::byte> send, std::span<std::byte> receive, int root) override {
        const Extent block(receive.size());
        check(MPI_Scatter(send.data(), block.count, block.type, receive.data(), block.count, block.type, root, comm()), "MPI_Scatter");
    }

    void gather(std::span<const std::byte> send, std::span<std::byte> receive, int root) override {
        const Extent block(send.size());
        check(MPI_Gather(send.data(), block.count, block.type, receive.data(), block.count, block.type, root, comm()), "MPI_Gather");
    }

    void allgather(std::span<const std::byte> send, std::span<std::byte> receive) override {
        const Extent block(send.size());
        check(MPI_Allgather(send.data(), block.count, block.type, receive.data(), block.count, block.type, comm()), "MPI_Allgather");
    }

    void alltoall(std::span<const std::byte> send, std::span<std::byte> receive) override {
        const Extent block(send.size() / static_cast<std::size_t>(size()));
        check(MPI_Alltoall(send.data(), block.count, block.type, receive.data(), block.count, block.type, comm()), "MPI_Alltoall");
    }

    // ---- blocks of any size ----

    void bcastv(std::span<const std::byte> send, const Place& place, int root, std::size_t) override {
        unsigned long long bytes = send.size();
        check(MPI_Bcast(&bytes, 1, MPI_UNSIGNED_LONG_LONG, root, comm()), "MPI_Bcast");
        const auto size = static_cast<std::size_t>(bytes);
        if (rank() == root) {
            const Extent extent(size);  // MPI does not write to root's buffer
            check(MPI_Bcast(const_cast<std::byte*>(send.data()), extent.count, extent.type, root, comm()), "MPI_Bcast");
        } else {
            bcast({place(std::span(&size, 1)), size}, root);
        }
    }

    void scatterv(const std::byte* send, Sizes sizes, const Place& place, int root, std::size_t unit) override {
        // To each rank: the size of its block, and that of all together.
        std::vector<unsigned long long> told;
        for (const std::size_t size : sizes) told.insert(told.end(), {size, sum(sizes)});
        unsigned long long own[2] = {};
        check(MPI_Scatter(told.data(), 2, MPI_UNSIGNED_LONG_LONG, own, 2, MPI_UNSIGNED_LONG_LONG, root, comm()), "MPI_Scatter");
        const auto bytes = static_cast<std::size_t>(own[0]);
        std::byte* to = place(std::span(&bytes, 1));
        if (own[1] / unit > INT_MAX) {
            Messages messages(*this);
            if (rank() == root) messages.send_all(send, sizes);
            messages.receive(root, to, bytes);
            return messages.wait();
        }
        const Element element(unit);
        const Counts counts(sizes, unit);
        check(MPI_Scatterv(send, counts.counts.data(), counts.places.data(), element.type, to, static_cast<int>(bytes / unit), element.type, root, comm()),
              "MPI_Scatterv");
    }

    void gatherv(std::span<const std::byte> send, const Place& place, int root, std::size_t unit) override {
        const std::vector<std::size_t> sizes = sizes_of_all(send.size());
        std::byte* to = rank() == root ? place(sizes) : nullptr;
        gather_known(send, to, sizes, root, unit);
    }

    void allgatherv(std::span<const std::byte> send, const Place& place, std::size_t unit) override {
        const std::vector<std::size_t> sizes = sizes_of_all(send.size());
        allgather_known(send, place(sizes), sizes, unit);
    }

    void alltoallv(const std::byte* send, Sizes sizes, const Place& place, std::size_t unit) override {
        // To each rank: the size of its block, and that of all this rank sends.
        std::vector<unsigned long long> told, heard(2 * sizes.size());
        for (const std::size_t size : sizes) told.insert(told.end(), {size, sum(sizes)});
        check(MPI_Alltoall(told.data(), 2, MPI_UNSIGNED_LONG_LONG, heard.data(), 2, MPI_UNSIGNED_LONG_LONG, comm()), "MPI_Alltoall");
        std::vector<std::size_t> arriving;
        std::size_t all = 0;  // the same on all ranks
        for (std::size_t other = 0; other < sizes.size(); ++other) {
            arriving.push_back(static_cast<std::size_t>(heard[2 * other]));
            all += static_cast<std::size_t>(heard[2 * other + 1]);
        }
        alltoall_known(send, sizes, place(arriving), arriving, all / unit > INT_MAX, unit);
    }

    // ---- reductions ----

    void reduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold, int root) override {
        if (native_reduce(send, receive, fold, root, comm())) return;
        const auto ranks = static_cast<std::size_t>(size());
        if (send.size() * ranks > fold_whole) {
            const auto slice = fold_slice(send, fold);
            return gather_known(slice, receive.data(), slices(send.size(), fold.element_size), root, fold.element_size);
        }
        std::vector<std::byte> rows(rank() == root ? send.size() * ranks : 0);
        gather(send, rows, root);
        if (rank() == root) fold_rows(rows, receive, fold);
    }

    void allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold) override {
        if (native_allreduce(send, receive, fold, comm())) return;
        const auto ranks = static_cast<std::size_t>(size());
        if (send.size() * ranks > fold_whole) {
            const auto slice = fold_slice(send, fold);
            return allgather_known(slice, receive.data(), slices(send.size(), fold.element_size), fold.element_size);
        }
        std::vector<std::byte> rows(send.size() * ranks);
        allgather(send, rows);
        fold_rows(rows, receive, fold);
    }

    // ---- communicators, jobs ----

    std::shared_ptr<comm::Transport> split(std::optional<int> color, int key) override {
        // Any colour is allowed here; MPI's are not negative.
        std::vector<int> colors(static_cast<std::size_t>(size()));
        const int own = color.value_or(0);
        check(MPI_Allgather(&own, 1, MPI_INT, colors.data(), 1, MPI_INT, comm()), "MPI_Allgather");
        const int number = static_cast<int>(std::find(colors.begin(), colors.end(), own) - colors.begin());
        MPI_Comm part = MPI_COMM_NULL;
        check(MPI_Comm_split(comm(), color ? number : MPI_UNDEFINED, key, &part), "MPI_Comm_split");
        return part == MPI_COMM_NULL ? nullptr : std::make_shared<MpiTransport>(part);
    }

    std::shared_ptr<comm::Transport> node() override {
        MPI_Comm node = MPI_COMM_NULL;
        check(MPI_Comm_split_type(comm(), MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &node), "MPI_Comm_split_type");
        return std::make_shared<MpiTransport>(node);
    }

    void abort(int exit_code) override {
        MPI_Abort(MPI_COMM_WORLD, exit_code);
        std::_Exit(exit_code);
    }

    int finish(int exit_code) override {
        channel_->finish();
        // The first code by rank that is not 0: that of the smallest rank that has one.
        const int own = exit_code != 0 ? rank() : size();
        int first = size(), code = exit_code;
        check(MPI_Allreduce(&own, &first, 1, MPI_INT, MPI_MIN, channel_->control()), "MPI_Allreduce");
        if (first < size()) check(MPI_Bcast(&code, 1, MPI_INT, first, channel_->control()), "MPI_Bcast");
        channel_->close();
        if (!leave_by_hydra(MPI_COMM_WORLD)) check(MPI_Finalize(), "MPI_Finalize");
        return code;
    }

  private:
    MPI_Comm comm() const { return communicator_; }

    // Sizes as MPI's counts and places, in units.
    struct Counts {
        Counts(Sizes sizes, std::size_t unit) {
            std::size_t place = 0;
            for (const std::size_t size : sizes) {
                counts.push_back(static_cast<int>(size / unit));
                places.push_back(static_cast<int>(place / unit));
                place += size;
            }
        }
        std::vector<int> counts, places;
    };

    // Collective. For messages of our own that the program's receives must not take.
    MPI_Comm bulk() {
        if (bulk_ == MPI_COMM_NULL) check(MPI_Comm_dup(comm(), &bulk_), "MPI_Comm_dup");
        return bulk_;
    }

    // Blocks that are too large, all together, for MPI's counts.
    class Messages {
      public:
        explicit Messages(MpiTransport& transport) : communicator_(transport.bulk()) {}
        void send(int to, const std::byte* bytes, std::size_t size) {
            const Extent extent(size);
            requests_.emplace_back();
            check(MPI_Isend(bytes, extent.count, extent.type, to, comm::tag_bulk, communicator_, &requests_.back()), "MPI_Isend");
        }
        void send_all(const std::byte* bytes, Sizes sizes) {
            for (std::size_t to = 0; to < sizes.size(); bytes += sizes[to++]) send(static_cast<int>(to), bytes, sizes[to]);
        }
        void receive(int from, std::byte* bytes, std::size_t size) {
            const Extent extent(size);
            requests_.emplace_back();
            check(MPI_Irecv(bytes, extent.count, extent.type, from, comm::tag_bulk, communicator_, &requests_.back()), "MPI_Irecv");
        }
        void receive_all(std::byte* bytes, Sizes sizes) {
            for (std::size_t from = 0; from < sizes.size(); bytes += sizes[from++]) receive(static_cast<int>(from), bytes, sizes[from]);
        }
        void wait() { check(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE), "MPI_Waitall"); }

      private:
        MPI_Comm communicator_;
        std::vector<MPI_Request> requests_;
    };

    std::vector<std::size_t> sizes_of_all(std::size_t own_size) {
        const unsigned long long own = own_size;
        std::vector<unsigned long long> sizes(static_cast<std::size_t>(size()));
        check(MPI_Allgather(&own, 1, MPI_UNSIGNED_LONG_LONG, sizes.data(), 1, MPI_UNSIGNED_LONG_LONG, comm()), "MPI_Allgather");
        return {sizes.begin(), sizes.end()};
    }

    void gather_known(std::span<const std::byte> send, std::byte* to, Sizes sizes, int root, std::size_t unit) {
        if (sum(sizes) / unit > INT_MAX) {
            Messages messages(*this);
            messages.send(root, send.data(), send.size());
            if (rank() == root) messages.receive_all(to, sizes);
            return messages.wait();
        }
        const Element element(unit);
        const Counts counts(sizes, unit);
        check(MPI_Gatherv(send.data(), static_cast<int>(send.size() / unit), element.type, to, counts.counts.data(), counts.places.data(), element.type, root, comm()),
              "MPI_Gatherv");
    }

    void allgather_known(std::span<const std::byte> send, std::byte* to, Sizes sizes, std::size_t unit) {
        if (sum(sizes) / unit > INT_MAX) {
            Messages messages(*this);
            for (int other = 0; other < size(); ++other) messages.send(other, send.data(), send.size());
            messages.receive_all(to, sizes);
            return messages.wait();
        }
        const Element element(unit);
        const Counts counts(sizes, unit);
        check(MPI_Allgatherv(send.data(), static_cast<int>(send.size() / unit), element.type, to, counts.counts.data(), counts.places.data(), element.type, comm()),
              "MPI_Allgatherv");
    }

    void alltoall_known(const std::byte* send, Sizes sizes, std::byte* to, Sizes arriving, bool by_messages, std::size_t unit) {
        if (by_messages) {
            Messages messages(*this);
            messages.send_all(send, sizes);
            messages.receive_all(to, arriving);
            return messages.wait();
        }
        const Element element(unit);
        const Counts sent(sizes, unit), received(arriving, unit);
        check(MPI_Alltoallv(send, sent.counts.data(), sent.places.data(), element.type, to, received.counts.data(), received.places.data(), element.type, comm()),
              "MPI_Alltoallv");
    }

    // ((x0 op x1) op x2) op …, from the rows of all ranks, one behind the other.
    void fold_rows(std::span<std::byte> rows, std::span<std::byte> to, const Fold& fold) const {
        const std::size_t row = to.size(), count = row / fold.element_size;
        for (std::size_t other = 1; other < static_cast<std::size_t>(size()); ++other) fold(rows.data(), rows.data() + other * row, count);
        wire::copy_bytes(to.data(), rows.data(), row);
    }

    // The bytes of each rank's slice of a row.
    std::vector<std::size_t> slices(std::size_t row, std::size_t element) const {
        const auto ranks = static_cast<std::size_t>(size());
        const std::size_t count = row / element;
        std::vector<std::size_t> sizes;
        for (std::size_t other = 0; other < ranks; ++other) sizes.push_back((count / ranks + (other < count % ranks ? 1 : 0)) * element);
        return sizes;
    }

    // Collective. Nobody waits for the slice of a rank whose operation threw.
    void agree_that_none_failed(const std::exception_ptr& error) {
        const int own = error ? rank() : size();
        int first = size();
        check(MPI_Allreduce(&own, &first, 1, MPI_INT, MPI_MIN, comm()), "MPI_Allreduce");
        if (error) std::rethrow_exception(error);
        if (first < size()) throw Error("a reduction has no result: its operation threw on rank " + std::to_string(first));
    }

    // This rank's slice of the result.
    std::vector<std::byte> fold_slice(std::span<const std::byte> send, const Fold& fold) {
        const auto ranks = static_cast<std::size_t>(size());
        const std::vector<std::size_t> sizes = slices(send.size(), fold.element_size);
        const std::size_t own = sizes[static_cast<std::size_t>(rank())];
        const std::vector<std::size_t> arriving(ranks, own);
        std::vector<std::byte> rows(own * ranks), slice(own);
        // All ranks decide alike: by the size of a row and the number of ranks.
        const bool by_messages = (send.size() + ranks * fold.element_size) / fold.element_size > INT_MAX;
        alltoall_known(send.data(), sizes, rows.data(), arriving, by_messages, fold.element_size);
        std::exception_ptr error;
        try {
            fold_rows(rows, slice, fold);
        } catch (...) {
            error = std::current_exception();
        }
        if (fold.may_throw) agree_that_none_failed(error);
        return slice;
    }

    std::shared_ptr<Channel> channel_;
    MPI_Comm communicator_;  // the channel's
    MPI_Comm bulk_ = MPI_COMM_NULL;
};

comm::Transport* open(int expected_rank, int expected_size, Threads threads) {
    int initialized = 0, provided = MPI_THREAD_SINGLE;
    check(MPI_Initialized(&initialized), "MPI_Initialized");
    if (initialized != 0)
        throw LaunchError("the program has initialised MPI before rankpool::run or spmd; use rankpool::mpi::communicator of <rankpool/mpi.hpp> instead");
    // Open MPI takes its locks with MPI_THREAD_FUNNELED already.
    const int wanted = threads == Threads::several ? MPI_THREAD_MULTIPLE : threads == Threads::one ? MPI_THREAD_FUNNELED : MPI_THREAD_SINGLE;
    check(MPI_Init_thread(nullptr, nullptr, wanted, &provided), "MPI_Init_thread");
    wait_until_all_are_initialised();
    note_hydra();
    // MPICH reports the errors of requests to one of these.
    for (const MPI_Comm predefined : {MPI_COMM_WORLD, MPI_COMM_SELF}) check(MPI_Comm_set_errhandler(predefined, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    MPI_Comm world = MPI_COMM_NULL;
    check(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
    MPI_Comm control = MPI_COMM_NULL;
    check(MPI_Comm_dup(MPI_COMM_WORLD, &control), "MPI_Comm_dup");
    auto transport = std::make_unique<MpiTransport>(world, control);
    if (transport->rank() != expected_rank || transport->size() != expected_size)
        throw LaunchError("the launcher says this is rank " + std::to_string(expected_rank) + " of " + std::to_string(expected_size) +
                          ", but its MPI library says rank " + std::to_string(transport->rank()) + " of " + std::to_string(transport->size()) +
                          "; the library belongs to another MPI than the launcher");
    return transport.release();
}

comm::Transport* adopt(const void* communicator) {
    if (*static_cast<const MPI_Comm*>(communicator) == MPI_COMM_NULL)
        throw std::invalid_argument("rankpool::mpi::communicator: MPI_COMM_NULL; is this rank a member of that communicator?");
    MPI_Comm own = MPI_COMM_NULL;
    check(MPI_Comm_dup(*static_cast<const MPI_Comm*>(communicator), &own), "MPI_Comm_dup");
    return new MpiTransport(own);
}

}  // namespace
}  // namespace rankpool::mpi

#if defined(OPEN_MPI)
#define RANKPOOL_MPI_NAME "openmpi"
#else
#define RANKPOOL_MPI_NAME "mpich"
#endif

extern "C" __attribute__((visibility("default"))) const rankpool::mpi::Module rankpool_mpi_module = {
    rankpool::mpi::module_version, RANKPOOL_MPI_NAME, &rankpool::mpi::open, &rankpool::mpi::adopt};
