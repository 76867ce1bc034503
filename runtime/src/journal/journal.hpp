// A journal of finished items: a file that outlives the death of the whole job, and from which the next one goes on.
//
//     journal::Journal journal("sweep.journal", {"double", 8, ""});
//     for (const auto& record : journal.records()) …;            // what earlier jobs had finished
//     journal.start_writing();
//     journal.append({.first = 7, .count = 1, .items = hash_of_item_7, .results = bytes});
//     journal.sync();
//
// The file. A header (magic, version, a random seed, the results' type and size, the user's tag, a checksum), then
// records, one behind the other, only ever appended. A record is a head (a mark, the stretch of items, a hash of their
// bytes, the length and checksum of their results, a checksum of the head) and the results' bytes. Numbers are the
// machine's own; on one of the other byte order the version is no version, and the journal is refused.
//
// What always holds:
//   1. A record's checksums begin with the header's seed and the record's place in the file: one that was moved, or a
//      journal inside of a result, is no record.
//   2. A length is believed only when the head's checksum is right and the file is that long.
//   3. What lies behind the last sound record is a torn tail: a job died while it wrote, or a machine before the disk
//   had
//      it all. It is cut off, its items are run again. A sound record behind an unsound place is damage, and refused.
//   4. Whoever has the journal open holds its lock. Nobody waits for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "os/memory.hpp"
#include "os/unique_fd.hpp"

namespace rankpool::journal {

/// Of what a journal's results are.
struct Results {
    std::string type;        // its name, as people know it
    std::uint32_t size = 0;  // of one in bytes; 0: they are serialized, of any length
    std::string tag;         // the user's, for the function that computes them
};

/// A stretch of finished items.
struct Record {
    std::uint64_t first = 0, count = 0;
    std::uint64_t items = 0;  // hash of their bytes
    std::span<const std::byte> results;
};

class Journal {
  public:
    /// Opens the journal or makes it, for this user only. Throws CheckpointError where it cannot be used: it is a
    /// symbolic link or no journal, somebody else has it, its results are others, it is damaged.
    Journal(std::string path, const Results& results);

    /// Whether it was there before.
    bool found() const { return found_; }
    /// What it has, in the order in which it was written, until start_writing().
    const std::vector<Record>& records() const { return records_; }

    /// Cuts a torn tail off. Throws CheckpointError, as do the following.
    void start_writing();
    /// The record is with the kernel when this returns: it outlives this process, but not yet the machine.
    void append(const Record& record) { append(std::span(&record, 1)); }
    void append(std::span<const Record> records);
    /// What was appended outlives the machine.
    void sync();
    /// Others may have the journal from now on.
    void close() { file_.reset(); }

  private:
    void lock();
    void read();
    void read_header(std::span<const std::byte> file);
    void read_records(std::span<const std::byte> file);
    void sync_directory() const;
    void write(std::span<const std::byte> bytes);
    [[noreturn]] void refuse(const std::string& why) const;
    [[noreturn]] void fail(const char* call) const;

    std::string path_;
    Results results_;
    os::UniqueFd file_;
    bool found_ = false;
    std::uint64_t seed_ = 0;
    std::uint64_t end_ = 0;  // of what is sound
    os::Mapping mapping_;    // of what records_ point into
    std::vector<Record> records_;
    std::vector<std::byte> outgoing_;
};

}  // namespace rankpool::journal
