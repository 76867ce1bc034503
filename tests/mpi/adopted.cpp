// <rankpool/mpi.hpp>: communicators over those of a program that uses MPI itself, and which MPI calls each operation is.
// Built for each MPI, run under its mpirun. Every rank runs every test, so a test never leaves early.
//
//     RANKPOOL_CHECK=0 mpirun -n 4 adopted_openmpi            calls are counted where the ranks do not check each other
//     RANKPOOL_CHECK=0 mpirun -n 2 … --gtest_filter=Large.*    more than an int can count; takes 10 GiB of memory
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <rankpool/mpi.hpp>

#include "mpi/counted_calls.hpp"
#include "support/ranks_print.hpp"

namespace {

using counted::calls;
using counted::calls_of;
using rankpool::Communicator;

int rank() {
    int number = -1;
    MPI_Comm_rank(MPI_COMM_WORLD, &number);
    return number;
}
int ranks() {
    int number = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &number);
    return number;
}
int last() { return ranks() - 1; }
int right() { return (rank() + 1) % ranks(); }
int left() { return (rank() + last()) % ranks(); }
std::size_t index_of(int rank) { return static_cast<std::size_t>(rank); }

/// 0 to `count` - 1.
std::vector<int> numbers(int count) {
    std::vector<int> all(index_of(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

bool environment_says(const char* name, std::string_view value) {
    const char* text = std::getenv(name);
    return text != nullptr && text == value;
}

/// Collective. Nobody is a call ahead or behind, nothing is left over.
void expect_works(Communicator& on) {
    EXPECT_EQ(on.allgather(on.rank()), numbers(on.size()));
    EXPECT_EQ(on.bcast(std::to_string(on.rank()), on.size() - 1), std::to_string(on.size() - 1));
    EXPECT_FALSE(on.iprobe().has_value()) << "a message is left over";
    on.barrier();  // nobody sends before all have looked
}

/// A communicator of rankpool's over all ranks of the program, for one test.
class Adopted : public testing::Test {
  protected:
    void TearDown() override { expect_works(world_); }

    Communicator world_ = rankpool::mpi::communicator(MPI_COMM_WORLD);
};

// ---- next to the program's own MPI ----

/// Collective. The program broadcasts by itself.
void expect_own_bcast(int value) {
    int number = rank() == last() ? value : -1;
    EXPECT_EQ(MPI_Bcast(&number, 1, MPI_INT, last(), MPI_COMM_WORLD), MPI_SUCCESS);
    EXPECT_EQ(number, value);
}

TEST(Program, UsesItsMpiBeforeBetweenAndAfter) {
    MPI_Errhandler before = MPI_ERRHANDLER_NULL, after = MPI_ERRHANDLER_NULL;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &before);
    expect_own_bcast(1);
    {
        Communicator world = rankpool::mpi::communicator(MPI_COMM_WORLD);
        EXPECT_EQ(world.rank(), rank());
        EXPECT_EQ(world.size(), ranks());
        expect_own_bcast(2);
        EXPECT_EQ(world.allgather(rank()), numbers(ranks()));
        expect_own_bcast(3);
        EXPECT_EQ(world.bcast("from " + std::to_string(rank()), last()), "from " + std::to_string(last()));
        expect_own_bcast(4);
    }
    int initialized = 0, finalized = 1;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    EXPECT_NE(initialized, 0);
    EXPECT_EQ(finalized, 0);
    expect_own_bcast(5);
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &after);
    EXPECT_TRUE(before == after) << "the program's communicator handles errors in another way";
}

TEST_F(Adopted, MessagesOfTheTwoDoNotMix) {
    const int own = 100 + rank();
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Isend(&own, 1, MPI_INT, right(), 3, MPI_COMM_WORLD, &request);
    MPI_Status status;
    MPI_Probe(left(), 3, MPI_COMM_WORLD, &status);  // it is there
    EXPECT_FALSE(world_.iprobe().has_value());
    world_.barrier();  // nobody sends before all have looked

    auto sending = world_.isend(200 + rank(), right(), 3);
    EXPECT_EQ(world_.probe(left(), 3).bytes, sizeof(int));
    int received = 0, found = 1;
    MPI_Recv(&received, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    EXPECT_EQ(received, 100 + left());
    EXPECT_EQ(status.MPI_TAG, 3);
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &found, &status);
    EXPECT_EQ(found, 0);
    EXPECT_EQ(world_.recv<int>(), 200 + left());
    sending.wait();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    world_.barrier();

    // A receive from anybody that waits on the one takes nothing from the other.
    auto waiting = world_.irecv<std::string>();
    MPI_Sendrecv(&own, 1, MPI_INT, right(), 0, &received, 1, MPI_INT, left(), 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    EXPECT_EQ(received, 100 + left());
    EXPECT_FALSE(waiting.test().has_value());
    world_.barrier();
    auto answer = world_.isend("to " + std::to_string(right()), right());
    EXPECT_EQ(waiting.wait(), "to " + std::to_string(rank()));
    answer.wait();
}

TEST_F(Adopted, OperationsOfTheTwoDoNotMix) {
    const int own = rank() + 1, expected = ranks() * (ranks() + 1) / 2;
    int sum = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallreduce(&own, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request);
    EXPECT_EQ(world_.allreduce(own, std::plus<>{}), expected);
    EXPECT_EQ(world_.bcast(rank() + 40, last()), last() + 40);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    EXPECT_EQ(sum, expected);
}

TEST(Program, GivesACommunicatorOfItself) {
    Communicator self = rankpool::mpi::communicator(MPI_COMM_SELF);
    EXPECT_EQ(self.rank(), 0);
    EXPECT_EQ(self.size(), 1);
    EXPECT_EQ(self.gather(std::to_string(rank())), std::vector{std::to_string(rank())});
    EXPECT_EQ(self.allreduce(rank(), std::plus<>{}), rank());
    EXPECT_EQ(self.allreduce(rank(), rankpool::native(std::plus<>{})), rank());
    auto sending = self.isend(rank() + 7, 0, 1);
    EXPECT_EQ(self.recv<int>(0, 1), rank() + 7);
    sending.wait();
    expect_works(self);
}

/// The ranks of world with this one's parity, the last first.
std::vector<int> of_own_parity() {
    std::vector<int> all;
    for (int r = last(); r >= 0; --r)
        if (r % 2 == rank() % 2) all.push_back(r);
    return all;
}

/// Collective on `part`, which has these ranks of world, in this order.
void expect_members(Communicator& part, const std::vector<int>& members) {
    EXPECT_EQ(part.allgather(rank()), members);
    EXPECT_EQ(part.gatherv(std::vector<int>(2, rank())).size(), part.rank() == 0 ? 2 * members.size() : 0);
    const int to = (part.rank() + 1) % part.size(), from = (part.rank() + part.size() - 1) % part.size();
    EXPECT_EQ(part.sendrecv(rank(), to, from, 3), members.at(index_of(from)));
    expect_works(part);
}

TEST(Program, GivesACommunicatorOfSomeRanks) {
    MPI_Comm some = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, rank() % 2, -rank(), &some);
    Communicator part = rankpool::mpi::communicator(some);
    expect_members(part, of_own_parity());
    MPI_Comm_free(&some);  // a duplicate does not need it
    expect_members(part, of_own_parity());
}

TEST(Program, DropsTheWholeAndKeepsItsParts) {
    std::optional<Communicator> world = rankpool::mpi::communicator(MPI_COMM_WORLD);
    std::optional<Communicator> part = world->split(rank() % 2, -rank());
    Communicator twin = world->dup();
    Communicator node = world->node();
    EXPECT_EQ(world->allreduce(node.rank() == 0 ? node.size() : 0, std::plus<>{}), ranks());
    EXPECT_EQ(world->split(rank() == last() ? std::optional<int>(5) : std::nullopt).has_value(), rank() == last());
    world.reset();
    EXPECT_TRUE(part.has_value());
    if (part) expect_members(*part, of_own_parity());
    expect_members(twin, numbers(ranks()));
    expect_works(node);
}

// ---- errors ----

class Errors : public Adopted {
  protected:
    template <class Call>
    void expect_mpi_error(const std::string& name, Call&& call) {
        SCOPED_TRACE(name);
        char words[MPI_MAX_ERROR_STRING] = {};
        int length = 0;
        MPI_Error_string(counted::error_of_failing, words, &length);
        {
            const counted::Failing failing(name.c_str());
            try {
                call();
                ADD_FAILURE() << "no MpiError";
            } catch (const rankpool::MpiError& error) {
                EXPECT_EQ(error.what(), name + ": " + words);
            }
        }
        expect_works(world_);
    }
};

TEST_F(Errors, OfMpiNameTheCall) {
    const std::vector<int> one_per_rank(index_of(ranks()), 1);
    const auto plus = [](int a, int b) { return a + b; };
    expect_mpi_error("MPI_Barrier", [&] { world_.barrier(); });
    expect_mpi_error("MPI_Bcast", [&] { world_.bcast(1); });
    expect_mpi_error("MPI_Bcast", [&] { world_.bcast(std::string("text")); });
    expect_mpi_error("MPI_Scatter", [&] { world_.scatter(one_per_rank); });
    expect_mpi_error("MPI_Scatterv", [&] { world_.scatterv(one_per_rank); });
    expect_mpi_error("MPI_Gather", [&] { world_.gather(1); });
    expect_mpi_error("MPI_Gatherv", [&] { world_.gatherv(one_per_rank); });
    expect_mpi_error("MPI_Allgather", [&] { world_.allgather(1); });
    expect_mpi_error("MPI_Allgatherv", [&] { world_.allgather(std::string("text")); });
    expect_mpi_error("MPI_Alltoall", [&] { world_.alltoall(one_per_rank); });
    expect_mpi_error("MPI_Gather", [&] { world_.reduce(1, plus); });
    expect_mpi_error("MPI_Allgather", [&] { world_.allreduce(1, plus); });
    expect_mpi_error("MPI_Reduce", [&] { world_.reduce(1, rankpool::native(plus)); });
    expect_mpi_error("MPI_Allreduce", [&] { world_.allreduce(1, rankpool::native(std::plus<>{})); });
    expect_mpi_error("MPI_Comm_split", [&] { world_.split(0); });
    expect_mpi_error("MPI_Comm_split_type", [&] { world_.node(); });
    expect_mpi_error("MPI_Comm_dup", [&] { rankpool::mpi::communicator(MPI_COMM_WORLD); });
    if (ranks() == 1) return;  // what a rank sends itself is none of MPI's business
    expect_mpi_error("MPI_Send", [&] { world_.send(1, right()); });
    expect_mpi_error("MPI_Recv", [&] { world_.recv<int>(left()); });
    expect_mpi_error("MPI_Isend", [&] { static_cast<void>(world_.isend(1, right())); });
    expect_mpi_error("MPI_Irecv", [&] { static_cast<void>(world_.irecv<int>(left())); });
    expect_mpi_error("MPI_Mprobe", [&] { world_.recv<std::string>(left()); });
}

TEST_F(Errors, AMessageOfAnotherSizeIsOne) {
    const std::array<int, 100> much{};
    auto long_one = world_.isend(much, right(), 1);
    EXPECT_THROW(world_.recv<int>(left(), 1), rankpool::Error);
    auto short_one = world_.isend(1, right(), 2);
    EXPECT_THROW((world_.recv<std::array<int, 100>>(left(), 2)), rankpool::Error);
    long_one.wait();
    short_one.wait();
    // Whether a message that was refused is gone is not said.
    while (world_.iprobe(left())) world_.recv<std::vector<int>>(left());
}

/// Errors of requests belong to no communicator for MPICH: the program has to want them returned.
class ErrorsReturned {
  public:
    ErrorsReturned() { set(MPI_ERRORS_RETURN); }
    ~ErrorsReturned() { set(MPI_ERRORS_ARE_FATAL); }
    ErrorsReturned(const ErrorsReturned&) = delete;
    ErrorsReturned& operator=(const ErrorsReturned&) = delete;

  private:
    static void set(MPI_Errhandler handler) {
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
        MPI_Comm_set_errhandler(MPI_COMM_SELF, handler);
    }
};

TEST_F(Errors, AMessageOfAnotherSizeIsOneForAReceiveThatWasBegun) {
    const ErrorsReturned errors_returned;
    const std::array<int, 100> much{};
    auto receiving = world_.irecv<int>(left(), 1);
    auto sending = world_.isend(much, right(), 1);
    EXPECT_THROW(receiving.wait(), rankpool::Error);
    sending.wait();
    while (world_.iprobe(left())) world_.recv<std::vector<int>>(left());
}

TEST_F(Errors, AModuleThatIsNotThereIsNamed) {
    const std::string path = "/nowhere/librankpool_mpi_none.so";
    setenv("RANKPOOL_MPI", path.c_str(), 1);
    try {
        rankpool::mpi::communicator(MPI_COMM_WORLD);
        ADD_FAILURE() << "no LaunchError";
    } catch (const rankpool::LaunchError& error) {
        EXPECT_NE(std::string_view(error.what()).find(path), std::string_view::npos) << error.what();
    }
    unsetenv("RANKPOOL_MPI");
    Communicator again = rankpool::mpi::communicator(MPI_COMM_WORLD);
    expect_works(again);
}

// ---- no hidden call ----

/// Trivially copyable, with padding.
struct Point {
    double x, y;
    int id;
    friend bool operator==(const Point&, const Point&) = default;
};
Point point(int seed) { return {0.5 * seed, -0.25 * seed, seed}; }

class Calls : public Adopted {
  protected:
    void SetUp() override {
        EXPECT_TRUE(environment_says("RANKPOOL_CHECK", "0")) << "a check is a call too: start these tests with RANKPOOL_CHECK=0";
    }

    const std::vector<int> one_per_rank_ = numbers(ranks());
    const std::vector<std::string> words_ = std::vector<std::string>(index_of(ranks()), "word");
    const int sum_of_ranks_ = ranks() * last() / 2;
};

TEST_F(Calls, ToAdoptIsADuplicate) {
    EXPECT_EQ(calls_of([] { rankpool::mpi::communicator(MPI_COMM_WORLD); }), calls("MPI_Comm_dup", "MPI_Allgather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.rank() + world_.size(), rank() + ranks()); }), calls());
}

TEST_F(Calls, OneForBlocksOfOneSize) {
    EXPECT_EQ(calls_of([&] { world_.barrier(); }), calls("MPI_Barrier"));

    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.bcast(rank() + 5, last()), last() + 5); }), calls("MPI_Bcast"));
    EXPECT_EQ(calls_of([&] { EXPECT_TRUE(world_.bcast(rank() == last(), last())); }), calls("MPI_Bcast"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.bcast(point(rank() + 1), last()), point(ranks())); }), calls("MPI_Bcast"));
    EXPECT_EQ(calls_of([&] {
        std::vector<Point> points(100, point(rank()));
        world_.bcast_into(points, last());
        EXPECT_EQ(points, std::vector<Point>(100, point(last())));
    }), calls("MPI_Bcast"));

    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.scatter(one_per_rank_, last()), rank()); }), calls("MPI_Scatter"));
    EXPECT_EQ(calls_of([&] {
        std::array<int, 1> own{};
        world_.scatter_into(one_per_rank_, own, last());
        EXPECT_EQ(own[0], rank());
    }), calls("MPI_Scatter"));

    const std::vector<int> at_root = rank() == last() ? one_per_rank_ : std::vector<int>();
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.gather(rank(), last()), at_root); }), calls("MPI_Gather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.gather(point(rank())).size(), index_of(rank() == 0 ? ranks() : 0)); }), calls("MPI_Gather"));
    EXPECT_EQ(calls_of([&] {
        std::vector<int> all(at_root.size());
        world_.gather_into(std::array{rank()}, all, last());
        EXPECT_EQ(all, at_root);
    }), calls("MPI_Gather"));

    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allgather(rank()), one_per_rank_); }), calls("MPI_Allgather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allgather(point(rank())).back(), point(last())); }), calls("MPI_Allgather"));
    EXPECT_EQ(calls_of([&] {
        std::vector<int> all(one_per_rank_.size());
        world_.allgather_into(std::array{rank()}, all);
        EXPECT_EQ(all, one_per_rank_);
    }), calls("MPI_Allgather"));

    const std::vector<int> own_rank(one_per_rank_.size(), rank());
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.alltoall(own_rank), one_per_rank_); }), calls("MPI_Alltoall"));
    EXPECT_EQ(calls_of([&] {
        std::vector<int> all(one_per_rank_.size());
        world_.alltoall_into(own_rank, all);
        EXPECT_EQ(all, one_per_rank_);
    }), calls("MPI_Alltoall"));
}

TEST_F(Calls, OneOfMpisOwnForNativeReductions) {
    const auto plus = rankpool::native(std::plus<>{});
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(rank(), plus), sum_of_ranks_); }), calls("MPI_Allreduce"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(0.5 * rank(), plus), 0.5 * sum_of_ranks_); }), calls("MPI_Allreduce"));
    const std::vector<double> row(20'000, rank()), sums(20'000, sum_of_ranks_);
    EXPECT_EQ(calls_of([&] { EXPECT_TRUE(world_.allreduce(std::span(row), plus) == sums); }), calls("MPI_Allreduce"));
    EXPECT_EQ(calls_of([&] {
        std::vector<double> own = row;
        world_.allreduce_into(own, own, plus);
        EXPECT_TRUE(own == sums);
    }), calls("MPI_Allreduce"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.reduce(rank(), plus, last()), rank() == last() ? sum_of_ranks_ : rank()); }), calls("MPI_Reduce"));
    EXPECT_EQ(calls_of([&] { EXPECT_TRUE(world_.reduce(std::span(row), plus) == (rank() == 0 ? sums : std::vector<double>())); }), calls("MPI_Reduce"));

    // An operation that MPI does not know, on a type that it does not know.
    const auto larger = rankpool::native([](const Point& a, const Point& b) { return a.id > b.id ? a : b; });
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(point(rank()), larger), point(last())); }), calls("MPI_Allreduce"));
    EXPECT_EQ(calls_of([&] { world_.reduce(point(rank()), larger); }), calls("MPI_Reduce"));
}

TEST_F(Calls, OneForSmallReductionsInRankOrder) {
    const auto plus = [](auto a, auto b) { return a + b; };
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(rank(), plus), sum_of_ranks_); }), calls("MPI_Allgather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(rank(), std::plus<>{}), sum_of_ranks_); }), calls("MPI_Allgather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.reduce(rank(), plus, last()), rank() == last() ? sum_of_ranks_ : rank()); }), calls("MPI_Gather"));
    const std::array<int, 3> row{rank(), 1, 2};
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(std::span(row), plus).at(0), sum_of_ranks_); }), calls("MPI_Allgather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.scan(1, plus), rank() + 1); }), calls("MPI_Allgather"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.exscan(1, plus).value_or(0), rank()); }), calls("MPI_Allgather"));
}

TEST_F(Calls, TwoForLongReductionsInRankOrder) {
    const std::vector<double> row(20'000, rank()), sums(20'000, sum_of_ranks_);
    EXPECT_EQ(calls_of([&] { EXPECT_TRUE(world_.allreduce(row, std::plus<>{}) == sums); }), calls("MPI_Alltoallv", "MPI_Allgatherv"));
    EXPECT_EQ(calls_of([&] { EXPECT_TRUE(world_.reduce(row, std::plus<>{}, last()) == (rank() == last() ? sums : std::vector<double>())); }),
              calls("MPI_Alltoallv", "MPI_Gatherv"));
}

TEST_F(Calls, TwoForBlocksOfAnySize) {
    const std::string own = "rank " + std::to_string(rank());
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.bcast(own, last()), "rank " + std::to_string(last())); }), calls("MPI_Bcast", "MPI_Bcast"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.bcast(std::vector<int>(7, rank())), std::vector<int>(7, 0)); }), calls("MPI_Bcast", "MPI_Bcast"));

    const std::vector<int> items = numbers(rank() == last() ? 3 * ranks() : 0);
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.scatter(words_, last()), "word"); }), calls("MPI_Scatter", "MPI_Scatterv"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.scatterv(items, last()).at(0), 3 * rank()); }), calls("MPI_Scatter", "MPI_Scatterv"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.scatterv(words_).size(), 1u); }), calls("MPI_Scatter", "MPI_Scatterv"));

    const std::vector<int> block(index_of(rank()), rank());
    const std::size_t of_all = index_of(sum_of_ranks_);
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.gather(own).size(), index_of(rank() == 0 ? ranks() : 0)); }), calls("MPI_Allgather", "MPI_Gatherv"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.gatherv(block).size(), rank() == 0 ? of_all : 0); }), calls("MPI_Allgather", "MPI_Gatherv"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allgather(own).at(index_of(rank())), own); }), calls("MPI_Allgather", "MPI_Allgatherv"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allgatherv(block).size(), of_all); }), calls("MPI_Allgather", "MPI_Allgatherv"));

    const std::vector<std::vector<int>> blocks(index_of(ranks()), block);
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.alltoall(words_), words_); }), calls("MPI_Alltoall", "MPI_Alltoallv"));
    const std::vector<int> from_last(index_of(last()), last());
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.alltoallv(blocks).back(), from_last); }), calls("MPI_Alltoall", "MPI_Alltoallv"));

    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.reduce(own, std::plus<>{}).size(), own.size() * index_of(rank() == 0 ? ranks() : 1)); }),
              calls("MPI_Allgather", "MPI_Gatherv"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.allreduce(own, std::plus<>{}).size(), own.size() * index_of(ranks())); }),
              calls("MPI_Allgather", "MPI_Allgatherv"));
}

TEST_F(Calls, OfAMapAreThoseOfItsParts) {
    EXPECT_EQ(calls_of([&] { world_.map([](int x) { return x * x; }, one_per_rank_); }),
              calls("MPI_Bcast", "MPI_Scatter", "MPI_Scatterv", "MPI_Allgather", "MPI_Gatherv"));
}

TEST_F(Calls, OneForAMessageAndOneForItsReceiver) {
    if (ranks() == 1) return;  // what a rank sends itself is none of MPI's business
    EXPECT_EQ(calls_of([&] {
        if (rank() == 0) world_.send(rank(), right(), 1);  // it may wait for its receiver: rank 0 opens the ring
        EXPECT_EQ(world_.recv<int>(left(), 1), left());
        if (rank() != 0) world_.send(rank(), right(), 1);
    }), calls("MPI_Send", "MPI_Recv"));
    EXPECT_EQ(calls_of([&] {
        if (rank() == 0) world_.send(point(rank()), right());
        EXPECT_EQ(world_.recv<Point>(), point(left()));
        if (rank() != 0) world_.send(point(rank()), right());
    }), calls("MPI_Send", "MPI_Recv"));
    EXPECT_EQ(calls_of([&] {
        auto receiving = world_.irecv<int>(left(), 2);
        auto sending = world_.isend(rank(), right(), 2);
        EXPECT_EQ(receiving.wait(), left());
        sending.wait();
    }), calls("MPI_Irecv", "MPI_Isend"));
    EXPECT_EQ(calls_of([&] { EXPECT_EQ(world_.sendrecv(rank(), right(), left(), 3), left()); }), calls("MPI_Isend", "MPI_Recv"));
}

TEST_F(Calls, AReceiveOfUnknownSizeAsksForIt) {
    if (ranks() == 1) return;
    EXPECT_EQ(calls_of([&] {
        world_.send(std::to_string(rank()), right(), 1);
        EXPECT_EQ(world_.recv<std::string>(left(), 1), std::to_string(left()));
    }), calls("MPI_Isend", "MPI_Mprobe", "MPI_Mrecv"));
}

// ---- more than an int can count ----

constexpr std::size_t gibibyte = std::size_t{1} << 30, page = 4096;
constexpr std::size_t much = 2 * gibibyte + gibibyte / 5 + 3;
constexpr std::size_t block_size = (gibibyte + gibibyte / 5) / page * page;  // two of them are too much

/// What stands at the beginning of each page, and at the end: never 0, and another one a page or a gibibyte away.
char byte_at(std::size_t place, int seed) { return static_cast<char>(1 + (place / page * 31 + index_of(seed) * 97) % 250); }

template <class Use>
void at_each_place(std::size_t size, Use&& use) {
    for (std::size_t place = 0; place < size; place += page) use(place);
    use(size - 1);
}
void mark(std::span<char> bytes, int seed) {
    at_each_place(bytes.size(), [&](std::size_t place) { bytes[place] = byte_at(place, seed); });
}
std::size_t wrong_bytes(std::span<const char> bytes, int seed) {
    std::size_t wrong = 0;
    at_each_place(bytes.size(), [&](std::size_t place) { if (bytes[place] != byte_at(place, seed)) ++wrong; });
    return wrong;
}

class Large : public Calls {
  protected:
    void SetUp() override {
        Calls::SetUp();
        EXPECT_EQ(ranks(), 2) << "these tests are for 2 ranks";
    }
    /// Blocks of both ranks, as they arrive at rank 0.
    static void expect_blocks(std::span<const char> all) {
        EXPECT_EQ(all.size(), rank() == 0 ? 2 * block_size : 0);
        if (all.size() != 2 * block_size) return;
        EXPECT_EQ(wrong_bytes(all.first(block_size), 0), 0u);
        EXPECT_EQ(wrong_bytes(all.last(block_size), 1), 0u);
    }
};

TEST_F(Large, BcastInto) {
    std::vector<char> bytes(much);
    if (rank() == 1) mark(bytes, 1);
    EXPECT_EQ(calls_of([&] { world_.bcast_into(bytes, 1); }), calls("MPI_Bcast"));
    EXPECT_EQ(wrong_bytes(bytes, 1), 0u);
}

TEST_F(Large, BlocksAreGathered) {
    std::vector<char> block(block_size), all(rank() == 0 ? 2 * block_size : 0);
    mark(block, rank());
    EXPECT_EQ(calls_of([&] { world_.gather_into(block, all); }), calls("MPI_Gather"));
    expect_blocks(all);
}

TEST_F(Large, BlocksOfBytesAreMessages) {
    std::vector<char> block(block_size), all;
    mark(block, rank());
    const auto expected = rank() == 0 ? calls("MPI_Allgather", "MPI_Comm_dup", "MPI_Isend", "MPI_Irecv", "MPI_Irecv") : calls("MPI_Allgather", "MPI_Comm_dup", "MPI_Isend");
    EXPECT_EQ(calls_of([&] { all = world_.gatherv(block); }), expected);
    expect_blocks(all);
}

TEST_F(Large, BlocksOfFewerElementsAreNot) {
    std::vector<int> block(block_size / sizeof(int)), all;
    mark({reinterpret_cast<char*>(block.data()), block_size}, rank());
    EXPECT_EQ(calls_of([&] { all = world_.gatherv(block); }), calls("MPI_Allgather", "MPI_Gatherv"));
    expect_blocks({reinterpret_cast<const char*>(all.data()), all.size() * sizeof(int)});
}

TEST_F(Large, Message) {
    if (rank() == 0) {
        std::vector<char> bytes(much);
        mark(bytes, 2);
        EXPECT_EQ(calls_of([&] { world_.send(bytes, 1, 1); }), calls("MPI_Isend"));
    } else {
        std::vector<char> bytes;
        EXPECT_EQ(calls_of([&] { bytes = world_.recv<std::vector<char>>(0, 1); }), calls("MPI_Mprobe", "MPI_Mrecv"));
        EXPECT_EQ(bytes.size(), much);
        if (bytes.size() == much) {
            EXPECT_EQ(wrong_bytes(bytes, 2), 0u);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    testing::InitGoogleTest(&argc, argv);
    // An exception that no test expects leaves the ranks in different calls: it ends the job, instead of letting them wait.
    GTEST_FLAG_SET(catch_exceptions, false);
    ranks_print::as_rank(rank());
    const int failed = RUN_ALL_TESTS();
    int failed_anywhere = 1;
    MPI_Allreduce(&failed, &failed_anywhere, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return failed_anywhere;
}
