#include "mpi/native.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "mpi/types.hpp"

namespace rankpool::mpi {
namespace {

using comm::Fold;

// Elements of one call: MPI counts with an int.
constexpr std::size_t most_elements = std::size_t{1} << 30;

// MPI's functions for operations get no argument of the caller's.
thread_local const Fold* current = nullptr;

void apply_current(void* in, void* in_out, int* length, MPI_Datatype*) {
    // in_out = in op in_out
    const auto count = static_cast<std::size_t>(*length), bytes = count * current->element_size;
    std::vector<std::byte> left(bytes);
    std::memcpy(left.data(), in, bytes);
    (*current)(left.data(), static_cast<const std::byte*>(in_out), count);
    std::memcpy(in_out, left.data(), bytes);
}

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
    const bool own = op == MPI_OP_NULL || type == MPI_DATATYPE_NULL;
    const Element element(own ? fold.element_size : 1);
    if (own) {
        type = element.type;
        current = &fold;
        check(MPI_Op_create(&apply_current, 0, &op), "MPI_Op_create");
    }
    const std::size_t count = bytes / fold.element_size;
    for (std::size_t done = 0; done == 0 || done < count; done += most_elements)
        reduce(done * fold.element_size, static_cast<int>(std::min(most_elements, count - done)), type, op);
    if (own) check(MPI_Op_free(&op), "MPI_Op_free");
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
        check(MPI_Reduce(from, rank == root ? receive.data() + at : nullptr, count, type, op, root, communicator), "MPI_Reduce");
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
