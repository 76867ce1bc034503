// Wrong arguments: refused on the rank that passed them, before anything is sent. Every rank passes the same here, so that
// nobody waits for one that has thrown.
#include <climits>
#include <functional>
#include <span>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

class Arguments : public WithMessages {
  protected:
    /// Calls with each root that there is not; the communicator is fit for use after each.
    template <class Call>
    void expect_needs_a_root(Call&& call) {
        for (const int bad : {-1, ranks(), ranks() + 100, INT_MIN, INT_MAX}) {
            SCOPED_TRACE(bad);
            expect_refused([&] { return call(bad); }, {std::to_string(bad), "0", std::to_string(ranks() - 1)});
        }
        expect_works(world());
    }

    const std::vector<int> one_per_rank_ = std::vector<int>(index_of(ranks()), 5);
    const std::vector<std::string> words_ = std::vector<std::string>(index_of(ranks()), "word");
};

TEST_F(Arguments, BcastNeedsARoot) {
    expect_needs_a_root([](int root) { return world().bcast(1, root); });
    expect_needs_a_root([](int root) { return world().bcast(std::string("text"), root); });
}

TEST_F(Arguments, ScatterNeedsARoot) {
    expect_needs_a_root([&](int root) { return world().scatter(one_per_rank_, root); });
    expect_needs_a_root([&](int root) { return world().scatter(words_, root); });
    expect_needs_a_root([&](int root) { return world().scatterv(one_per_rank_, root); });
    expect_needs_a_root([&](int root) { return world().scatterv(words_, root); });
}

TEST_F(Arguments, GatherNeedsARoot) {
    expect_needs_a_root([](int root) { return world().gather(1, root); });
    expect_needs_a_root([](int root) { return world().gather(std::string("text"), root); });
    expect_needs_a_root([&](int root) { return world().gatherv(one_per_rank_, root); });
    expect_needs_a_root([&](int root) { return world().gatherv(words_, root); });
}

TEST_F(Arguments, ReduceNeedsARoot) {
    expect_needs_a_root([](int root) { return world().reduce(1, std::plus<>{}, root); });
    expect_needs_a_root([](int root) { return world().reduce(std::string("text"), std::plus<>{}, root); });
    expect_needs_a_root([&](int root) { return world().reduce(std::span<const int>(one_per_rank_), std::plus<>{}, root); });
    expect_needs_a_root([](int root) { return world().reduce(1, rankpool::native(std::plus<>{}), root); });
}

TEST_F(Arguments, MapNeedsARoot) {
    bool called = false;
    const auto function = [&called](int x) {
        called = true;
        return x;
    };
    expect_needs_a_root([&](int root) { return world().map(function, one_per_rank_, root); });
    expect_needs_a_root([&](int root) { return world().allmap(function, one_per_rank_, root); });
    EXPECT_FALSE(called);
}

TEST_F(Arguments, IntoNeedsARoot) {
    std::vector<int> buffer = one_per_rank_, one(1, 3);
    expect_needs_a_root([&](int root) { world().bcast_into(buffer, root); });
    expect_needs_a_root([&](int root) { world().scatter_into(one_per_rank_, one, root); });
    expect_needs_a_root([&](int root) { world().gather_into(one, buffer, root); });
    expect_needs_a_root([&](int root) { world().reduce_into(one_per_rank_, buffer, std::plus<>{}, root); });
    EXPECT_EQ(buffer, one_per_rank_);
    EXPECT_EQ(one, std::vector<int>{3});
}

TEST_F(Arguments, OnePerRankMeansJustThat) {
    const std::string n = std::to_string(ranks());
    for (const std::size_t wrong : {one_per_rank_.size() - 1, one_per_rank_.size() + 1, one_per_rank_.size() + 20}) {
        SCOPED_TRACE(wrong);
        const std::vector<std::string> words{std::to_string(wrong), n};
        expect_refused([&] { return world().alltoall(std::vector<int>(wrong)); }, words);
        expect_refused([&] { return world().alltoall(std::vector<std::string>(wrong)); }, words);
        expect_refused([&] { return world().alltoallv(std::vector<std::vector<int>>(wrong)); }, words);
        expect_refused([&] { return world().alltoallv(std::vector<std::vector<std::string>>(wrong)); }, words);
        if (ranks() > 1) continue;  // what follows counts at root only: the others would wait for it
        expect_refused([&] { return world().scatter(std::vector<int>(wrong)); }, words);
        expect_refused([&] { return world().scatter(std::vector<std::string>(wrong)); }, words);
    }
    expect_works(world());
}

TEST_F(Arguments, ATaskOfAPoolHasNoCommunicator) {
    for (const rankpool::Backend backend : {rankpool::Backend::serial, rankpool::Backend::threads}) {
        rankpool::Pool pool(rankpool::PoolOptions{.processes = 2, .backend = backend});
        EXPECT_THROW(pool.map([](int) { return world().allreduce(1, std::plus<>{}); }, {1, 2}), std::logic_error);
        EXPECT_THROW(pool.map([](int) { world().send(1, 0); }, {1}), std::logic_error);
        EXPECT_THROW(pool.map([](int) { return world().iprobe().has_value(); }, {1}), std::logic_error);
    }
    expect_works(world());
}

}  // namespace
