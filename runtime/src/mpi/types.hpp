// MPI's errors as exceptions, and bytes of any number as a count and a datatype.
#pragma once

#include <mpi.h>

#include <climits>
#include <string>

#include <rankpool/error.hpp>

namespace rankpool::mpi {

inline void check(int result, const char* call) {
    if (result == MPI_SUCCESS) return;
    char words[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(result, words, &length);
    throw MpiError(std::string(call) + ": " + std::string(words, static_cast<std::size_t>(length)));
}

/// So many bytes, as MPI takes them: `count` elements of `type`. More than an int can count are one element of a type that
/// is made for it.
class Extent {
  public:
    explicit Extent(std::size_t bytes) {
        if (bytes <= INT_MAX) {
            count = static_cast<int>(bytes);
            return;
        }
        constexpr std::size_t block_bytes = std::size_t{1} << 30;
        const int blocks = static_cast<int>(bytes / block_bytes);
        int lengths[2] = {blocks, static_cast<int>(bytes % block_bytes)};
        MPI_Aint places[2] = {0, static_cast<MPI_Aint>(bytes - bytes % block_bytes)};
        MPI_Datatype parts[2] = {MPI_DATATYPE_NULL, MPI_BYTE};
        check(MPI_Type_contiguous(static_cast<int>(block_bytes), MPI_BYTE, &parts[0]), "MPI_Type_contiguous");
        check(MPI_Type_create_struct(2, lengths, places, parts, &type), "MPI_Type_create_struct");
        check(MPI_Type_free(&parts[0]), "MPI_Type_free");
        check(MPI_Type_commit(&type), "MPI_Type_commit");
        count = 1;
        own_ = true;
    }
    ~Extent() {
        if (own_) MPI_Type_free(&type);
    }
    Extent(const Extent&) = delete;
    Extent& operator=(const Extent&) = delete;

    int count = 0;
    MPI_Datatype type = MPI_BYTE;

  private:
    bool own_ = false;
};

/// Elements of so many bytes each.
class Element {
  public:
    explicit Element(std::size_t bytes) {
        if (bytes == 1) return;
        check(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type), "MPI_Type_contiguous");
        check(MPI_Type_commit(&type), "MPI_Type_commit");
    }
    ~Element() {
        if (type != MPI_BYTE) MPI_Type_free(&type);
    }
    Element(const Element&) = delete;
    Element& operator=(const Element&) = delete;

    MPI_Datatype type = MPI_BYTE;
};

}  // namespace rankpool::mpi
