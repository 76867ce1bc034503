#include "spmd/checked_transport.hpp"

#include <cstdlib>
#include <cstring>
#include <string_view>

#include <rankpool/error.hpp>

namespace rankpool::comm {
namespace {

constexpr std::uint64_t differs = ~std::uint64_t{0};  // bytes that need not agree

// What a rank is about to do.
struct View {
    char operation[16] = {};
    std::int32_t root = -1;
    std::uint32_t native = 0;
    std::uint64_t bytes = differs;
    std::uint64_t element = 0;
    std::uint64_t op_hash = 0;
    char op[64] = {};

    bool agrees_with(const View& other) const {
        return std::strcmp(operation, other.operation) == 0 && root == other.root && native == other.native && bytes == other.bytes &&
               element == other.element && op_hash == other.op_hash;
    }
    std::string text() const {
        std::string text = operation;
        if (bytes != differs) text += " of " + std::to_string(bytes) + " bytes";
        if (element != 0) text += (bytes != differs ? " in" : " of") + std::string(" elements of ") + std::to_string(element) + " bytes";
        if (root >= 0) text += " with root " + std::to_string(root);
        if (op[0] != '\0') text += std::string(" by the operation ") + op + (native != 0 ? " (native)" : "");
        return text;
    }
};

class CheckedTransport final : public Transport {
  public:
    explicit CheckedTransport(std::shared_ptr<Transport> inner) : inner_(std::move(inner)) {}

    int rank() const override { return inner_->rank(); }
    int size() const override { return inner_->size(); }
    int local_size() const override { return inner_->local_size(); }

    void send(int destination, int tag, std::span<const std::byte> bytes) override { inner_->send(destination, tag, bytes); }
    void post(int destination, int tag, std::span<const std::byte> bytes) override { inner_->post(destination, tag, bytes); }
    std::optional<Message> try_receive(int source, int tag) override { return inner_->try_receive(source, tag); }
    Message receive(int source, int tag) override { return inner_->receive(source, tag); }
    Status receive_into(int source, int tag, std::span<std::byte> to) override { return inner_->receive_into(source, tag, to); }
    std::unique_ptr<Operation> start_send(int destination, int tag, wire::Buffer bytes) override { return inner_->start_send(destination, tag, std::move(bytes)); }
    std::unique_ptr<Operation> start_receive(int source, int tag, std::optional<std::size_t> bytes) override {
        return inner_->start_receive(source, tag, bytes);
    }
    void send_buffer(int destination, int tag, wire::Buffer bytes) override { inner_->send_buffer(destination, tag, std::move(bytes)); }
    std::optional<Status> try_probe(int source, int tag) override { return inner_->try_probe(source, tag); }
    Status probe(int source, int tag) override { return inner_->probe(source, tag); }
    void wait(std::chrono::nanoseconds limit) override { inner_->wait(limit); }
    void wake() override { inner_->wake(); }

    void barrier() override {
        agree(view("barrier"));
        inner_->barrier();
    }
    void bcast(std::span<std::byte> bytes, int root) override {
        agree(view("bcast", bytes.size(), root));
        inner_->bcast(bytes, root);
    }
    void scatter(std::span<const std::byte> send, std::span<std::byte> receive, int root) override {
        agree(view("scatter", receive.size(), root));
        inner_->scatter(send, receive, root);
    }
    void gather(std::span<const std::byte> send, std::span<std::byte> receive, int root) override {
        agree(view("gather", send.size(), root));
        inner_->gather(send, receive, root);
    }
    void allgather(std::span<const std::byte> send, std::span<std::byte> receive) override {
        agree(view("allgather", send.size()));
        inner_->allgather(send, receive);
    }
    void alltoall(std::span<const std::byte> send, std::span<std::byte> receive) override {
        agree(view("alltoall", send.size()));
        inner_->alltoall(send, receive);
    }
    void reduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold, int root) override {
        agree(view("reduce", send.size(), root, fold));
        inner_->reduce(send, receive, fold, root);
    }
    void allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold) override {
        agree(view("allreduce", send.size(), -1, fold));
        inner_->allreduce(send, receive, fold);
    }
    void bcastv(std::span<const std::byte> send, const Place& place, int root, std::size_t unit) override {
        agree(view_v("bcast", unit, root));
        inner_->bcastv(send, place, root, unit);
    }
    void scatterv(const std::byte* send, Sizes sizes, const Place& place, int root, std::size_t unit) override {
        agree(view_v("scatterv", unit, root));
        inner_->scatterv(send, sizes, place, root, unit);
    }
    void gatherv(std::span<const std::byte> send, const Place& place, int root, std::size_t unit) override {
        agree(view_v("gatherv", unit, root));
        inner_->gatherv(send, place, root, unit);
    }
    void allgatherv(std::span<const std::byte> send, const Place& place, std::size_t unit) override {
        agree(view_v("allgatherv", unit));
        inner_->allgatherv(send, place, unit);
    }
    void alltoallv(const std::byte* send, Sizes sizes, const Place& place, std::size_t unit) override {
        agree(view_v("alltoallv", unit));
        inner_->alltoallv(send, sizes, place, unit);
    }

    std::shared_ptr<Transport> split(std::optional<int> color, int key) override {
        agree(view("split"));
        auto part = inner_->split(color, key);
        return part ? checked(std::move(part)) : nullptr;
    }
    std::shared_ptr<Transport> node() override {
        agree(view("node"));
        return checked(inner_->node());
    }
    void abort(int exit_code) override { inner_->abort(exit_code); }
    void finish() override { inner_->finish(); }

  private:
    static View view(std::string_view operation, std::uint64_t bytes = differs, int root = -1) {
        View own;
        operation.copy(own.operation, sizeof own.operation - 1);
        own.root = root;
        own.bytes = bytes;
        return own;
    }
    static View view(std::string_view operation, std::uint64_t bytes, int root, const Fold& fold) {
        View own = view(operation, bytes, root);
        own.element = fold.element_size;
        own.native = fold.native == Fold::Native::no ? 0 : 1;
        own.op_hash = std::hash<std::string_view>{}(fold.name);
        std::string_view(fold.name).copy(own.op, sizeof own.op - 1);
        return own;
    }
    static View view_v(std::string_view operation, std::size_t unit, int root = -1) {
        View own = view(operation, differs, root);
        own.element = unit;
        return own;
    }

    void agree(const View& own) {
        std::vector<View> views(static_cast<std::size_t>(size()));
        inner_->allgather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(views)));
        // The first rank that does something else than rank 0: all ranks tell of the same two.
        for (std::size_t other = 1; other < views.size(); ++other) {
            if (views[other].agrees_with(views[0])) continue;
            throw Error("the ranks disagree: rank 0 calls " + views[0].text() + ", rank " + std::to_string(other) + " calls " + views[other].text() + " (this is rank " +
                        std::to_string(rank()) + ")");
        }
    }

    std::shared_ptr<Transport> inner_;
};

}  // namespace

std::shared_ptr<Transport> checked(std::shared_ptr<Transport> transport) { return std::make_shared<CheckedTransport>(std::move(transport)); }

bool wants_checks(bool unless_told) {
    const char* told = std::getenv("RANKPOOL_CHECK");
    if (told == nullptr || *told == '\0') return unless_told;
    const std::string_view value(told);
    if (value == "1") return true;
    if (value == "0") return false;
    throw LaunchError("RANKPOOL_CHECK = \"" + std::string(value) + "\"; expected 1 (check that all ranks call the same collective operations) or 0");
}

}  // namespace rankpool::comm
