// The transport over MPI. The only file that includes mpi.h, compiled once for each MPI into a module of its own.
//
// Messages: one MPI message each, up to 1 GiB; a longer one goes in pieces, all but the last with a tag that says "more
// to come" (messages between two ranks do not overtake each other). Waiting sleeps the longer the longer nothing comes,
// because the MPIs themselves only know how to spin.
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "mpi/module.hpp"
#include <rankpool/error.hpp>

namespace rankpool::mpi {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t piece_bytes = std::size_t{1} << 30;
constexpr int more_to_come = 1 << 21;

void check(int result, const char* call) {
    if (result == MPI_SUCCESS) return;
    char words[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(result, words, &length);
    throw MpiError(std::string(call) + ": " + std::string(words, static_cast<std::size_t>(length)));
}

class MpiTransport final : public comm::Transport {
  public:
    MpiTransport(int expected_rank, int expected_size, int local_size) : local_size_(local_size) {
        int provided = MPI_THREAD_SINGLE;
        check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
        check(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
        check(MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        check(MPI_Comm_rank(world_, &rank_), "MPI_Comm_rank");
        check(MPI_Comm_size(world_, &size_), "MPI_Comm_size");
        if (rank_ != expected_rank || size_ != expected_size)
            throw LaunchError("the launcher says this is rank " + std::to_string(expected_rank) + " of " +
                              std::to_string(expected_size) + ", but its MPI library says rank " + std::to_string(rank_) +
                              " of " + std::to_string(size_) + "; the library belongs to another MPI than the launcher");
        MPI_Comm node = MPI_COMM_NULL;
        check(MPI_Comm_split_type(world_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
        check(MPI_Comm_size(node, &local_size_), "MPI_Comm_size");
        sent_.resize(static_cast<std::size_t>(size_));
        received_.resize(static_cast<std::size_t>(size_));
        check(MPI_Comm_free(&node), "MPI_Comm_free");
    }

    int rank() const override { return rank_; }
    int size() const override { return size_; }
    int local_size() const override { return local_size_; }

    void send(int destination, int tag, std::span<const std::byte> bytes) override {
        do {
            ++sent_[static_cast<std::size_t>(destination)];
            const auto part = bytes.first(std::min(piece_bytes, bytes.size()));
            bytes = bytes.subspan(part.size());
            MPI_Request request = MPI_REQUEST_NULL;
            check(MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, destination,
                            bytes.empty() ? tag : tag | more_to_come, world_, &request), "MPI_Isend");
            for (int done = 0, turns = 0;; ++turns) {
                check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
                if (done != 0) break;
                if (!take_in() && turns > 1000) std::this_thread::sleep_for(20us);
            }
        } while (!bytes.empty());
    }

    std::optional<comm::Message> try_receive(int source, int tag) override {
        while (take_in()) idle_ = 0us;
        const auto found = find(source, tag);
        if (found == arrived_.end()) return std::nullopt;
        comm::Message message = std::move(*found);
        arrived_.erase(found);
        return message;
    }

    comm::Message receive(int source, int tag) override {
        for (;;) {
            if (auto message = try_receive(source, tag)) return std::move(*message);
            wait(1s);
        }
    }

    void wait(std::chrono::nanoseconds limit) override {
        if (!arrived_.empty()) return;
        // Nothing came for a while: sleep, at first briefly.
        constexpr auto shortest = 20us, longest = 1000us;
        std::unique_lock lock(mutex_);
        idle_ = std::clamp(idle_ * 5 / 4, std::chrono::microseconds(shortest), std::chrono::microseconds(longest));
        if (woken_.wait_for(lock, std::min<std::chrono::nanoseconds>(idle_, limit), [&] { return wake_; })) idle_ = 0us;
        wake_ = false;
    }

    void wake() override {
        {
            std::lock_guard lock(mutex_);
            wake_ = true;
        }
        woken_.notify_one();
    }

    void barrier() override { check(MPI_Barrier(world_), "MPI_Barrier"); }

    void bcast(wire::Buffer& bytes, int root) override {
        unsigned long long size = bytes.size();
        check(MPI_Bcast(&size, 1, MPI_UNSIGNED_LONG_LONG, root, world_), "MPI_Bcast");
        if (rank_ != root) {
            bytes.clear();
            bytes.grow(static_cast<std::size_t>(size));
        }
        for (std::size_t done = 0; done < size; done += piece_bytes)
            check(MPI_Bcast(bytes.data() + done, static_cast<int>(std::min<std::size_t>(piece_bytes, size - done)), MPI_BYTE, root, world_),
                  "MPI_Bcast");
    }

    wire::Buffer scatter(const std::vector<std::span<const std::byte>>& parts, int root) override {
        // To each rank: the size of its part, and whether all of them fit into one MPI_Scatterv.
        std::vector<unsigned long long> sizes;
        std::vector<int> counts, places;
        if (rank_ == root) {
            std::size_t total = 0;
            for (const auto& part : parts) total += part.size();
            for (const auto& part : parts) {
                sizes.push_back(part.size());
                sizes.push_back(total <= INT_MAX ? 1 : 0);
            }
        }
        unsigned long long own[2] = {};
        check(MPI_Scatter(sizes.data(), 2, MPI_UNSIGNED_LONG_LONG, own, 2, MPI_UNSIGNED_LONG_LONG, root, world_), "MPI_Scatter");
        if (own[1] == 0) {
            if (rank_ != root) return receive(root, comm::tag_scatter).bytes;
            for (int other = 0; other < size_; ++other)
                if (other != root) send(other, comm::tag_scatter, parts[static_cast<std::size_t>(other)]);
            wire::Buffer kept;
            kept.append(parts[static_cast<std::size_t>(root)].data(), parts[static_cast<std::size_t>(root)].size());
            return kept;
        }
        wire::Buffer together, part;
        if (rank_ == root)
            for (const auto& each : parts) {
                counts.push_back(static_cast<int>(each.size()));
                places.push_back(static_cast<int>(together.size()));
                together.append(each.data(), each.size());
            }
        part.grow(static_cast<std::size_t>(own[0]));
        check(MPI_Scatterv(together.data(), counts.data(), places.data(), MPI_BYTE, part.data(), static_cast<int>(own[0]), MPI_BYTE, root, world_),
              "MPI_Scatterv");
        return part;
    }

    std::vector<wire::Buffer> gather(std::span<const std::byte> part, int root) override {
        const unsigned long long own = part.size();
        std::vector<unsigned long long> sizes(static_cast<std::size_t>(size_));
        check(MPI_Allgather(&own, 1, MPI_UNSIGNED_LONG_LONG, sizes.data(), 1, MPI_UNSIGNED_LONG_LONG, world_), "MPI_Allgather");
        std::size_t total = 0;
        for (const auto size : sizes) total += static_cast<std::size_t>(size);
        std::vector<wire::Buffer> parts;
        if (total > INT_MAX) {
            if (rank_ != root) {
                send(root, comm::tag_gather, part);
                return parts;
            }
            for (int other = 0; other < size_; ++other) {
                if (other != root) {
                    parts.push_back(receive(other, comm::tag_gather).bytes);
                    continue;
                }
                parts.emplace_back();
                parts.back().append(part.data(), part.size());
            }
            return parts;
        }
        std::vector<int> counts, places;
        wire::Buffer together;
        if (rank_ == root) {
            together.grow(total);
            int place = 0;
            for (const auto size : sizes) {
                counts.push_back(static_cast<int>(size));
                places.push_back(place);
                place += static_cast<int>(size);
            }
        }
        check(MPI_Gatherv(part.data(), static_cast<int>(own), MPI_BYTE, together.data(), counts.data(), places.data(), MPI_BYTE, root, world_),
              "MPI_Gatherv");
        if (rank_ == root)
            for (std::size_t other = 0; other < counts.size(); ++other) {
                parts.emplace_back();
                parts.back().append(together.data() + places[other], static_cast<std::size_t>(counts[other]));
            }
        return parts;
    }

    void abort(int exit_code) override {
        MPI_Abort(MPI_COMM_WORLD, exit_code);
        std::_Exit(exit_code);
    }

    void finish() override {
        // What nobody waits for any more (a rank's greeting, results of a pool that main left) is taken in all the same: a
        // message that was never received is an error in MPI's eyes, and MPICH with UCX says so on standard output.
        std::vector<unsigned long long> expected(sent_.size());
        // Not blocking: another rank may be in the middle of a long message to this one.
        MPI_Request request = MPI_REQUEST_NULL;
        check(MPI_Ialltoall(sent_.data(), 1, MPI_UNSIGNED_LONG_LONG, expected.data(), 1, MPI_UNSIGNED_LONG_LONG, world_, &request),
              "MPI_Ialltoall");
        for (int told = 0; told == 0 || received_ != expected;) {
            if (!take_in()) std::this_thread::sleep_for(20us);
            if (told == 0) check(MPI_Test(&request, &told, MPI_STATUS_IGNORE), "MPI_Test");
        }
        check(MPI_Comm_free(&world_), "MPI_Comm_free");
        check(MPI_Finalize(), "MPI_Finalize");
    }

  private:
    bool take_in() {
        int found = 0;
        MPI_Message handle = MPI_MESSAGE_NULL;
        MPI_Status status;
        check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, world_, &found, &handle, &status), "MPI_Improbe");
        if (found == 0) return false;
        int bytes = 0;
        check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
        const int source = status.MPI_SOURCE, tag = status.MPI_TAG & ~more_to_come;
        wire::Buffer& whole = partial_[source];
        std::byte* place = whole.grow(static_cast<std::size_t>(bytes));
        check(MPI_Mrecv(place, bytes, MPI_BYTE, &handle, MPI_STATUS_IGNORE), "MPI_Mrecv");
        ++received_[static_cast<std::size_t>(source)];
        if ((status.MPI_TAG & more_to_come) == 0) {
            arrived_.push_back({source, tag, std::move(whole)});
            partial_.erase(source);
        }
        return true;
    }

    std::deque<comm::Message>::iterator find(int source, int tag) {
        return std::find_if(arrived_.begin(), arrived_.end(), [&](const comm::Message& message) {
            return (source == comm::any || message.source == source) && (tag == comm::any || message.tag == tag);
        });
    }

    MPI_Comm world_ = MPI_COMM_NULL;
    int rank_ = 0, size_ = 1, local_size_ = 1;
    std::deque<comm::Message> arrived_;
    std::map<int, wire::Buffer> partial_;  // by source
    std::vector<unsigned long long> sent_, received_;  // MPI messages, by rank
    std::mutex mutex_;
    std::condition_variable woken_;
    bool wake_ = false;
    std::chrono::microseconds idle_{0};
};

comm::Transport* open(int expected_rank, int expected_size, int local_size) {
    return new MpiTransport(expected_rank, expected_size, local_size);
}

}  // namespace
}  // namespace rankpool::mpi

#if defined(OPEN_MPI)
#define RANKPOOL_MPI_NAME "openmpi"
#else
#define RANKPOOL_MPI_NAME "mpich"
#endif

extern "C" __attribute__((visibility("default"))) const rankpool::mpi::Module rankpool_mpi_module = {
    rankpool::mpi::module_version, RANKPOOL_MPI_NAME, &rankpool::mpi::open};
