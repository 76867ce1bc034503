#include "mpi/native.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "mpi/types.hpp"

namespace rankpool::mpi {
namespace {

using comm::Fold;

// Elements of one call: MPI counts with an int.
constexpr std::size_t most_elements = std::size_t{1} << 30;

// MPI's functions for operations get no argument of the caller's, and MPI may call them on another thread: the operation is
// found by an attribute of the type that they are called with.
int fold_key() {
    static const int key = [] {
        int made = MPI_KEYVAL_INVALID;
        check(MPI_Type_create_keyval(MPI_TYPE_NULL_COPY_FN, MPI_TYPE_NULL_DELETE_FN, &made, nullptr), "MPI_Type_create_keyval");
        return made;
    }();
    return key;
}

void apply_fold(void* in, void* in_out, int* length, MPI_Datatype* type) {
    void* attribute = nullptr;
    int found = 0;
    if (MPI_Type_get_attr(*type, fold_key(), static_cast<void*>(&attribute), &found) != MPI_SUCCESS || found == 0) MPI_Abort(MPI_COMM_WORLD, 1);
    const Fold& fold = *static_cast<const Fold*>(attribute);
    // in_out = in op in_out
    const auto count = static_cast<std::size_t>(*length), bytes = count * fold.element_size;
    std::vector<std::byte> left(bytes);
    std::memcpy(left.data(), in, bytes);
    fold(left.data(), static_cast<const std::byte*>(in_out), count);
    std::memcpy(in_out, left.data(), bytes);
}

// An element of a fold of the program's, as a type that leads to it.
class FoldedType {
  public:
    explicit FoldedType(const Fold& fold) {
        check(MPI_Type_contiguous(static_cast<int>(fold.element_size), MPI_BYTE, &type), "MPI_Type_contiguous");
        check(MPI_Type_commit(&type), "MPI_Type_commit");
        check(MPI_Type_set_attr(type, fold_key(), const_cast<Fold*>(&fold)), "MPI_Type_set_attr");
        check(MPI_Op_create(&apply_fold, 0, &op), "MPI_Op_create");
    }
    ~FoldedType() {
        MPI_Op_free(&op);
        MPI_Type_free(&type);
    }
    FoldedType(const FoldedType&) = delete;
    FoldedType& operator=(const FoldedType&) = delete;

    MPI_Datatype type = MPI_DATATYPE_NULL;
    MPI_Op op = MPI_OP_NULL;
};

MPI_Datatype type_of(Fold::Element element) {
    switch (element) {
        case Fold::Element::boolean: return MPI_CXX_BOOL;
        case Fold::Element::i8: return MPI_INT8_T;
        case Fold::Element::i16: return MPI_INT16_T;
        case Fold::Element::i32: return MPI_INT32_T;
        case Fold::Element::i64: return MPI_INT64_T;
        case Fold::Element::u8: return MPI_UINT8_T;
        case Fold::Element::u16: return MPI_UINT16_T;
        case Fold::Element::u32: return MPI_UINT32_T;
        case Fold::Element::u64: return MPI_UINT64_T;
        case Fold::Element::f32: return MPI_FLOAT;
        case Fold::Element::f64: return MPI_DOUBLE;
        case Fold::Element::f80: return MPI_LONG_DOUBLE;
        case Fold::Element::bytes: break;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op op_of(Fold::Native native) {
    switch (native) {
        case Fold::Native::sum: return MPI_SUM;
        case Fold::Native::product: return MPI_PROD;
        case Fold::Native::minimum: return MPI_MIN;
        case Fold::Native::maximum: return MPI_MAX;
        case Fold::Native::logical_and: return MPI_LAND;
        case Fold::Native::logical_or: return MPI_LOR;
        case Fold::Native::logical_xor: return MPI_LXOR;
        case Fold::Native::bit_and: return MPI_BAND;
        case Fold::Native::bit_or: return MPI_BOR;
        case Fold::Native::bit_xor: return MPI_BXOR;
        case Fold::Native::custom:
        case Fold::Native::no: break;
    }
    return MPI_OP_NULL;
}

// Calls `reduce` with pieces that MPI can count, their type and the operation.
template <class Reduce>
void in_pieces(std::size_t bytes, const Fold& fold, Reduce&& reduce) {
    MPI_Op op = op_of(fold.native);
    MPI_Datatype type = type_of(fold.element);
    std::optional<FoldedType> own;
    if (op == MPI_OP_NULL || type == MPI_DATATYPE_NULL) {
        own.emplace(fold);
        type = own->type;
        op = own->op;
    }
    const std::size_t count = bytes / fold.element_size;
    for (std::size_t done = 0; done == 0 || done < count; done += most_elements)
        reduce(done * fold.element_size, static_cast<int>(std::min(most_elements, count - done)), type, op);
}

const void* send_buffer(std::span<const std::byte> send, const std::byte* receive, std::size_t at) {
    return send.data() == receive ? MPI_IN_PLACE : static_cast<const void*>(send.data() + at);
}

}  // namespace

bool native_reduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold, int root, MPI_Comm communicator) {
    if (fold.native == Fold::Native::no) return false;
    int rank = 0;
    check(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank");
    in_pieces(send.size(), fold, [&](std::size_t at, int count, MPI_Datatype type, MPI_Op op) {
        const void* from = rank == root ? send_buffer(send, receive.data(), at) : send.data() + at;
        std::byte* to = rank == root ? receive.data() + at : nullptr;
        check(MPI_Reduce(from, to, count, type, op, root, communicator), "MPI_Reduce");
    });
    return true;
}

bool native_allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const Fold& fold, MPI_Comm communicator) {
    if (fold.native == Fold::Native::no) return false;
    // MPI_IN_PLACE would have to be given by all ranks alike.
    std::vector<std::byte> own;
    if (send.data() == receive.data()) {
        own.assign(send.begin(), send.end());
        send = own;
    }
    in_pieces(send.size(), fold, [&](std::size_t at, int count, MPI_Datatype type, MPI_Op op) {
        check(MPI_Allreduce(send.data() + at, receive.data() + at, count, type, op, communicator), "MPI_Allreduce");
    });
    return true;
}

}  // namespace rankpool::mpi
