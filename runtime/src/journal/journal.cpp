#include "journal/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <rankpool/error.hpp>
#include "journal/hash.hpp"
#include "os/byte_stream.hpp"
#include "os/failure.hpp"

namespace rankpool::journal {
namespace {

struct Header {
    char magic[16];
    std::uint32_t version;
    std::uint32_t bytes;  // behind this: the results' size, type and tag
    std::uint64_t seed;
    std::uint64_t check;  // of all of the header
};
static_assert(sizeof(Header) == 40);
constexpr char expected_magic[] = "rankpool journal";
constexpr std::uint32_t expected_version = 1;
constexpr std::uint32_t most_header_bytes = 1 << 20;

struct Head {
    std::uint64_t mark;
    std::uint64_t first, count;
    std::uint64_t items;
    std::uint64_t bytes, results;  // length and checksum
    std::uint64_t check;           // of what stands before it
};
static_assert(sizeof(Head) == 56);
constexpr std::uint64_t expected_mark = 0x64726f63'65526a70;  // "pjRecord"

std::uint64_t check_of(const Header& header, std::span<const std::byte> behind) {
    return hash(behind, hash(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, check)), header.seed));
}
std::uint64_t check_of(const Head& head, std::uint64_t seed, std::uint64_t place) {
    return hash(std::as_bytes(std::span(&head, 1)).first(offsetof(Head, check)), seed + place);
}

// The record at `place`, if there is a sound one.
std::optional<Record> record_at(std::span<const std::byte> file, std::uint64_t place, std::uint64_t seed) {
    if (file.size() - place < sizeof(Head)) return std::nullopt;
    Head head;
    std::memcpy(&head, file.data() + place, sizeof head);
    if (head.mark != expected_mark || head.check != check_of(head, seed, place)) return std::nullopt;
    if (head.bytes > file.size() - place - sizeof head) return std::nullopt;
    const auto results =
        file.subspan(static_cast<std::size_t>(place) + sizeof head, static_cast<std::size_t>(head.bytes));
    if (head.results != hash(results, seed)) return std::nullopt;
    return Record{head.first, head.count, head.items, results};
}

std::string in_words(const Results& results) {
    return results.type + (results.size > 0 ? " (" + std::to_string(results.size) + " bytes each)" : std::string());
}

// " (process N)", by what the kernel tells about locks; nothing where it does not know, as on other machines.
std::string holder_of(int file) {
    struct stat status {};
    if (fstat(file, &status) != 0) return {};
    char wanted[64];
    std::snprintf(wanted, sizeof wanted, "%02x:%02x:%lu", major(status.st_dev), minor(status.st_dev),
                  static_cast<unsigned long>(status.st_ino));
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number, kind, manner, access, pid, place;
        if (words >> number >> kind >> manner >> access >> pid >> place && kind == "FLOCK" && place == wanted &&
            pid != "0" && pid[0] != '-')
            return " (process " + pid + ")";
    }
    return {};
}

}  // namespace

Journal::Journal(std::string path, const Results& results) : path_(std::move(path)), results_(results) {
    // Not blocking: opening a pipe would wait for its other end.
    file_.reset(os::retry_interrupted(
        [&] { return open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600); }));
    if (!file_ && errno == ELOOP)
        refuse("it is a symbolic link, and a journal is written only where it says; give the path that it leads to");
    if (!file_) fail("open");
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) fail("fstat");
    if (!S_ISREG(status.st_mode)) refuse("it is not a regular file; give another path");
    lock();
    read();
}

void Journal::lock() {
    if (os::retry_interrupted([&] { return flock(file_.get(), LOCK_EX | LOCK_NB); }) == 0) return;
    if (errno != EWOULDBLOCK) fail("flock");
    refuse("another call is writing it" + holder_of(file_.get()) +
           "; wait for its end, or give each call a path of its own");
}

void Journal::read() {
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) fail("fstat");
    if (status.st_size == 0) return;
    const auto size = static_cast<std::size_t>(status.st_size);
    try {
        mapping_ = os::Mapping(file_.get(), 0, size, os::Mapping::Access::read_only);
    } catch (const Error& error) {
        throw CheckpointError("checkpoint " + path_ + ": " + error.what());
    }
    const std::span<const std::byte> file(mapping_.data(), size);
    read_header(file);
    if (found_) read_records(file);
}

void Journal::read_header(std::span<const std::byte> file) {
    Header header{};
    std::memcpy(&header, file.data(), std::min(file.size(), sizeof header));
    if (std::memcmp(header.magic, expected_magic, std::min(file.size(), sizeof header.magic)) != 0)
        refuse("the file is no journal, and stays as it is; give another path");
    if (file.size() < sizeof header) return;  // torn while it was made: nothing is in it
    if (header.version != expected_version)
        refuse(
            "the journal was written by another version of rankpool, or on a machine of the other byte order; give "
            "another path");
    if (header.bytes > most_header_bytes)
        refuse("the journal's header is damaged; delete it to begin anew, or give another path");
    const bool whole = file.size() - sizeof header >= header.bytes;
    if (!whole && memmem(file.data(), file.size(), &expected_mark, sizeof expected_mark) == nullptr) return;
    const auto behind = file.subspan(sizeof header, whole ? header.bytes : 0);
    if (!whole || header.check != check_of(header, behind))
        refuse("the journal's header is damaged; delete it to begin anew, or give another path");
    found_ = true;
    seed_ = header.seed;
    end_ = sizeof header + header.bytes;
    os::ByteReader in(behind);
    Results there;
    there.size = in.get<std::uint32_t>();
    there.type = in.get_string();
    there.tag = in.get_string();
    if (there.type != results_.type || there.size != results_.size)
        refuse("the journal has results of type " + in_words(there) + ", this call's are " + in_words(results_) +
               "; give another path, or delete it to begin anew");
    if (there.tag != results_.tag)
        refuse("the journal was written with the checkpoint_tag \"" + there.tag + "\", this call has \"" +
               results_.tag + "\"; give another path, or delete it to begin anew");
}

void Journal::read_records(std::span<const std::byte> file) {
    std::optional<std::uint64_t> unsound;
    for (std::uint64_t place = end_; place < file.size();) {
        if (const auto record = record_at(file, place, seed_)) {
            if (unsound)
                refuse("the journal is damaged at byte " + std::to_string(*unsound) +
                       ", in front of records that are sound; restore it from a copy, or delete it to begin anew");
            records_.push_back(*record);
            end_ = place += sizeof(Head) + record->results.size();
            continue;
        }
        if (!unsound) unsound = place;
        // Is there anything sound behind it?
        const void* next = memmem(file.data() + place + 1, static_cast<std::size_t>(file.size() - place - 1),
                                  &expected_mark, sizeof expected_mark);
        if (next == nullptr) break;
        place = static_cast<std::uint64_t>(static_cast<const std::byte*>(next) - file.data());
    }
}

void Journal::start_writing() {
    records_ = {};
    mapping_ = {};
    if (os::retry_interrupted([&] { return ftruncate(file_.get(), static_cast<off_t>(end_)); }) != 0) fail("ftruncate");
    if (found_) return;
    os::ByteWriter behind;
    behind.put(results_.size);
    behind.put(results_.type);
    behind.put(results_.tag);
    if (behind.bytes().size() > most_header_bytes)
        refuse("the checkpoint_tag is longer than a journal's header may be");
    Header header{};
    std::memcpy(header.magic, expected_magic, sizeof header.magic);
    header.version = expected_version;
    header.bytes = static_cast<std::uint32_t>(behind.bytes().size());
    if (getrandom(&header.seed, sizeof header.seed, 0) != static_cast<ssize_t>(sizeof header.seed)) fail("getrandom");
    header.check = check_of(header, behind.bytes());
    seed_ = header.seed;
    os::ByteWriter out;
    out.put(header);
    out.put_bytes(behind.bytes());
    write(out.bytes());
    sync();
    sync_directory();
}

void Journal::append(std::span<const Record> records) {
    outgoing_.clear();
    for (const Record& record : records) {
        Head head{expected_mark,
                  record.first,
                  record.count,
                  record.items,
                  record.results.size(),
                  hash(record.results, seed_),
                  0};
        head.check = check_of(head, seed_, end_ + outgoing_.size());
        const auto bytes = std::as_bytes(std::span(&head, 1));
        outgoing_.insert(outgoing_.end(), bytes.begin(), bytes.end());
        outgoing_.insert(outgoing_.end(), record.results.begin(), record.results.end());
    }
    write(outgoing_);
}

void Journal::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = os::retry_interrupted([&] { return ::write(file_.get(), bytes.data(), bytes.size()); });
        if (written <= 0) fail("write");
        end_ += static_cast<std::uint64_t>(written);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void Journal::sync() {
    if (os::retry_interrupted([&] { return fdatasync(file_.get()); }) != 0) fail("fdatasync");
}

// So that a new file is found after a crash of the machine. Not every file system does that.
void Journal::sync_directory() const {
    const auto parent = std::filesystem::path(path_).parent_path();
    const os::UniqueFd directory(open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) (void)fsync(directory.get());
}

void Journal::refuse(const std::string& why) const { throw CheckpointError("checkpoint " + path_ + ": " + why); }
void Journal::fail(const char* call) const {
    throw CheckpointError("checkpoint " + os::failure_text(call, path_, errno));
}

}  // namespace rankpool::journal
