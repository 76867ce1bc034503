// What another rank wrote into the shared memory is not believed.
#include "shm/each_collective.hpp"

namespace {

using namespace shm_test;

// ---- what another rank wrote is not believed ----

// As the endpoint has it.
struct RawHeader {
    std::uint16_t kind, unused;
    std::uint32_t context;
    std::int32_t tag;
    std::uint32_t number;
    std::uint64_t bytes, address;
};
constexpr std::uint16_t inline_bytes = 1, elsewhere = 2, answer = 3;

// As rank 1 would, but wrong.
void write_raw(const JobMemory& memory, const RawHeader& header) {
    std::memcpy(memory.ring_bytes(1, 0), &header, sizeof header);
    memory.ring(1, 0).tail.store(sizeof header);
}

TEST(ShmDamage, TheFormOfMessagesIsTheOneThatIsDamagedHere) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    write_raw(memory, {inline_bytes, 0, 0, tag, 0, 0, 0});
    EXPECT_TRUE(transport.try_receive(1, tag).has_value());
}

TEST(ShmDamage, ImpossiblePositionsAreRefused) {
    for (const std::uint64_t position : {std::uint64_t{1} << 40, ~std::uint64_t{0} - (std::uint64_t{1} << 30)}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        memory.ring(1, 0).tail = position;
        EXPECT_THROW((void)transport.try_receive(any, any), Error);
        memory.ring(0, 1).head = position;
        EXPECT_THROW(transport.send(1, tag, bytes_of(1)), Error);
    }
}

TEST(ShmDamage, AMessageOfUnknownFormIsRefused) {
    for (const std::uint16_t kind : {std::uint16_t{0}, std::uint16_t{99}}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        write_raw(memory, {kind, 0, 0, tag, 0, 0, 0});
        EXPECT_THROW((void)transport.try_receive(any, any), Error);
    }
}

TEST(ShmDamage, AMessageOfImpossibleSizeIsRefused) {
    for (const std::uint16_t kind : {inline_bytes, elsewhere}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        write_raw(memory, {kind, 0, 0, tag, 0, std::uint64_t{1} << 60, 0});
        EXPECT_THROW((void)transport.try_receive(any, any), Error);
    }
}

TEST(ShmDamage, AMessageAtAnAddressThatCannotBeReadIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    const ShmTransport sender(memory.share(), 1);
    write_raw(memory, {elsewhere, 0, 0, tag, 41, 100'000, 16});
    EXPECT_THROW((void)transport.try_receive(any, any), Error);
}

TEST(ShmDamage, AnAnswerToNothingIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    write_raw(memory, {answer, 0, 0, 0, 41, 0, 0});
    EXPECT_THROW((void)transport.try_receive(any, any), Error);
}

// Rank 1 comes to the first operation with something that cannot be.
TEST(ShmDamage, AnImpossibleContributionIsRefused) {
    constexpr std::uint64_t huge = std::uint64_t{1} << 60;
    const std::pair<Form, std::uint64_t> impossible[]{{Form{0}, 1},         {Form{99}, 1},
                                                      {Form::in_slot, 105}, {Form::in_cell, (32 << 10) + 1},
                                                      {Form::elsewhere, huge}, {Form::in_slot, 3}};
    for (const auto& [form, bytes] : impossible) {
        const JobMemory memory = JobMemory::create(2);
        decide(memory, Hearing::one_by_one);
        ShmTransport transport(memory.share(), 0);
        auto& slot = CollectiveArea(memory.area(0, 2), 2).state(1).slots[0];
        slot.form = form;
        slot.bytes = bytes;
        slot.word.publish(1);
        EXPECT_THROW(transport.barrier(), Error);
    }
}

}  // namespace
