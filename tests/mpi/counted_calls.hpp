// The MPI calls that move something between ranks, counted, and made to fail, on their way to the MPI library.
//
//     EXPECT_EQ(calls_of([&] { world.bcast(1); }), calls("MPI_Bcast"));
//     const Failing failing("MPI_Bcast");  // it returns an error from here on, and does nothing
//
// The functions below come before the library's own in the order of symbols, for the program as for rankpool's module, and
// pass on to the library by its second name (PMPI_, MPI's profiling interface). The program is to be linked with its symbols
// visible (ENABLE_EXPORTS), and one of its sources includes this.
#pragma once

#include <mpi.h>

#include <map>
#include <string>
#include <utility>

namespace counted {

/// How often each was called.
using Calls = std::map<std::string, int>;

inline Calls made;
inline std::string failing;

/// Whether the call goes through.
inline bool passes(const char* call) {
    ++made[call];
    return failing != call;
}

template <class... Name>
Calls calls(const Name*... names) {
    Calls all;
    (++all[names], ...);
    return all;
}

/// Those that `function` makes on this rank.
template <class Function>
Calls calls_of(Function&& function) {
    made.clear();
    std::forward<Function>(function)();
    return std::exchange(made, {});
}

constexpr int error_of_failing = MPI_ERR_OTHER;

class Failing {
  public:
    explicit Failing(const char* call) { failing = call; }
    ~Failing() { failing.clear(); }
    Failing(const Failing&) = delete;
    Failing& operator=(const Failing&) = delete;
};

}  // namespace counted

#define COUNTED_PARAMETERS(...) __VA_ARGS__
#define COUNTED(name, parameters, ...)                                                                    \
    extern "C" int MPI_##name(COUNTED_PARAMETERS parameters) {                                            \
        return counted::passes("MPI_" #name) ? PMPI_##name(__VA_ARGS__) : counted::error_of_failing;      \
    }
// … with its form that only begins it.
#define COUNTED_BOTH(name, begins, parameters, ...)                                                                  \
    COUNTED(name, parameters, __VA_ARGS__)                                                                           \
    extern "C" int MPI_##begins(COUNTED_PARAMETERS parameters, MPI_Request* request) {                               \
        return counted::passes("MPI_" #begins) ? PMPI_##begins(__VA_ARGS__, request) : counted::error_of_failing;    \
    }

// ---- messages ----
COUNTED_BOTH(Send, Isend, (const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm), data, count, type, to, tag, comm)
COUNTED_BOTH(Ssend, Issend, (const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm), data, count, type, to, tag, comm)
COUNTED_BOTH(Bsend, Ibsend, (const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm), data, count, type, to, tag, comm)
COUNTED_BOTH(Rsend, Irsend, (const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm), data, count, type, to, tag, comm)
COUNTED(Recv, (void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status* status), data, count, type, from, tag, comm, status)
COUNTED(Irecv, (void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request* request), data, count, type, from, tag, comm, request)
COUNTED(Mrecv, (void* data, int count, MPI_Datatype type, MPI_Message* message, MPI_Status* status), data, count, type, message, status)
COUNTED(Imrecv, (void* data, int count, MPI_Datatype type, MPI_Message* message, MPI_Request* request), data, count, type, message, request)
COUNTED(Probe, (int from, int tag, MPI_Comm comm, MPI_Status* status), from, tag, comm, status)
COUNTED(Iprobe, (int from, int tag, MPI_Comm comm, int* found, MPI_Status* status), from, tag, comm, found, status)
COUNTED(Mprobe, (int from, int tag, MPI_Comm comm, MPI_Message* message, MPI_Status* status), from, tag, comm, message, status)
COUNTED(Improbe, (int from, int tag, MPI_Comm comm, int* found, MPI_Message* message, MPI_Status* status), from, tag, comm, found, message, status)
COUNTED(Sendrecv,
        (const void* data, int count, MPI_Datatype type, int to, int tag, void* into, int room, MPI_Datatype into_type, int from, int from_tag,
         MPI_Comm comm, MPI_Status* status),
        data, count, type, to, tag, into, room, into_type, from, from_tag, comm, status)
COUNTED(Start, (MPI_Request* request), request)
COUNTED(Startall, (int count, MPI_Request* requests), count, requests)

// ---- collectives ----
COUNTED_BOTH(Barrier, Ibarrier, (MPI_Comm comm), comm)
COUNTED_BOTH(Bcast, Ibcast, (void* data, int count, MPI_Datatype type, int root, MPI_Comm comm), data, count, type, root, comm)
COUNTED_BOTH(Scatter, Iscatter, (const void* data, int count, MPI_Datatype type, void* into, int room, MPI_Datatype into_type, int root, MPI_Comm comm),
             data, count, type, into, room, into_type, root, comm)
COUNTED_BOTH(Scatterv, Iscatterv,
             (const void* data, const int* counts, const int* places, MPI_Datatype type, void* into, int room, MPI_Datatype into_type, int root, MPI_Comm comm),
             data, counts, places, type, into, room, into_type, root, comm)
COUNTED_BOTH(Gather, Igather, (const void* data, int count, MPI_Datatype type, void* into, int room, MPI_Datatype into_type, int root, MPI_Comm comm),
             data, count, type, into, room, into_type, root, comm)
COUNTED_BOTH(Gatherv, Igatherv,
             (const void* data, int count, MPI_Datatype type, void* into, const int* rooms, const int* places, MPI_Datatype into_type, int root, MPI_Comm comm),
             data, count, type, into, rooms, places, into_type, root, comm)
COUNTED_BOTH(Allgather, Iallgather, (const void* data, int count, MPI_Datatype type, void* into, int room, MPI_Datatype into_type, MPI_Comm comm),
             data, count, type, into, room, into_type, comm)
COUNTED_BOTH(Allgatherv, Iallgatherv,
             (const void* data, int count, MPI_Datatype type, void* into, const int* rooms, const int* places, MPI_Datatype into_type, MPI_Comm comm),
             data, count, type, into, rooms, places, into_type, comm)
COUNTED_BOTH(Alltoall, Ialltoall, (const void* data, int count, MPI_Datatype type, void* into, int room, MPI_Datatype into_type, MPI_Comm comm),
             data, count, type, into, room, into_type, comm)
COUNTED_BOTH(Alltoallv, Ialltoallv,
             (const void* data, const int* counts, const int* places, MPI_Datatype type, void* into, const int* rooms, const int* into_places,
              MPI_Datatype into_type, MPI_Comm comm),
             data, counts, places, type, into, rooms, into_places, into_type, comm)
COUNTED_BOTH(Alltoallw, Ialltoallw,
             (const void* data, const int* counts, const int* places, const MPI_Datatype* types, void* into, const int* rooms,
              const int* into_places, const MPI_Datatype* into_types, MPI_Comm comm),
             data, counts, places, types, into, rooms, into_places, into_types, comm)
COUNTED_BOTH(Reduce, Ireduce, (const void* data, void* into, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
             data, into, count, type, op, root, comm)
COUNTED_BOTH(Allreduce, Iallreduce, (const void* data, void* into, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm), data, into, count, type, op, comm)
COUNTED_BOTH(Scan, Iscan, (const void* data, void* into, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm), data, into, count, type, op, comm)
COUNTED_BOTH(Exscan, Iexscan, (const void* data, void* into, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm), data, into, count, type, op, comm)
COUNTED_BOTH(Reduce_scatter, Ireduce_scatter, (const void* data, void* into, const int* counts, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
             data, into, counts, type, op, comm)
COUNTED_BOTH(Reduce_scatter_block, Ireduce_scatter_block, (const void* data, void* into, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
             data, into, count, type, op, comm)

// ---- communicators ----
COUNTED(Comm_dup, (MPI_Comm comm, MPI_Comm* made), comm, made)
COUNTED(Comm_idup, (MPI_Comm comm, MPI_Comm* made, MPI_Request* request), comm, made, request)
COUNTED(Comm_dup_with_info, (MPI_Comm comm, MPI_Info info, MPI_Comm* made), comm, info, made)
COUNTED(Comm_create, (MPI_Comm comm, MPI_Group group, MPI_Comm* made), comm, group, made)
COUNTED(Comm_create_group, (MPI_Comm comm, MPI_Group group, int tag, MPI_Comm* made), comm, group, tag, made)
COUNTED(Comm_split, (MPI_Comm comm, int color, int key, MPI_Comm* made), comm, color, key, made)
COUNTED(Comm_split_type, (MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm* made), comm, type, key, info, made)

#undef COUNTED_BOTH
#undef COUNTED
#undef COUNTED_PARAMETERS
