// The real Boost archive beside a value, for what needs tracking; see boost_archive.hpp.
#pragma once

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>

#include <memory>
#include <streambuf>
#include <string>
#include <type_traits>

#include <rankpool/wire/buffer.hpp>
#include <rankpool/wire/reader.hpp>

namespace rankpool::wire {

/// A stream buffer that appends to a Buffer.
class BufferSink final : public std::streambuf {
  public:
    Buffer& bytes() { return bytes_; }

  protected:
    std::streamsize xsputn(const char* text, std::streamsize count) override {
        bytes_.append(text, static_cast<std::size_t>(count));
        return count;
    }
    int_type overflow(int_type character) override {
        if (character != traits_type::eof()) {
            const char byte = static_cast<char>(character);
            bytes_.append(&byte, 1);
        }
        return 0;
    }

  private:
    Buffer bytes_;
};

/// A stream buffer that reads a row of bytes.
class BytesSource final : public std::streambuf {
  public:
    explicit BytesSource(std::span<const std::byte> bytes) {
        char* begin = reinterpret_cast<char*>(const_cast<std::byte*>(bytes.data()));
        setg(begin, begin, begin + bytes.size());
    }
};

inline constexpr unsigned boost_archive_flags = boost::archive::no_header | boost::archive::no_codecvt;

/// The tracked part of the value that this thread is writing.
class TrackedOutput {
  public:
    explicit TrackedOutput(Buffer& out) : out_(out), begin_(out.size()), outer_(current) {
        out_.append(&begin_, sizeof begin_);  // becomes the flat bytes' length
        current = this;
    }
    ~TrackedOutput() { current = outer_; }
    TrackedOutput(const TrackedOutput&) = delete;
    TrackedOutput& operator=(const TrackedOutput&) = delete;

    /// Into the archive of the value that is being written.
    template <class T>
    static void save(const T& pointer) {
        try {
            current->archive() << pointer;
        } catch (const boost::archive::archive_exception& error) {
            throw SerializationError(std::string("Boost.Serialization: ") + error.what());
        }
    }

    /// A derived type that will be met through pointers to its base.
    template <class T>
    static void register_type() {
        current->archive().template register_type<T>();
    }

    /// The value is complete.
    void finish() {
        const std::uint64_t flat = out_.size() - begin_ - sizeof flat;
        std::memcpy(out_.data() + begin_, &flat, sizeof flat);
        archive_.reset();  // writes its end
        const std::uint64_t tracked = sink_.bytes().size();
        out_.append(&tracked, sizeof tracked);
        out_.append(sink_.bytes().data(), sink_.bytes().size());
    }

  private:
    boost::archive::binary_oarchive& archive() {
        if (!archive_) archive_ = std::make_unique<boost::archive::binary_oarchive>(sink_, boost_archive_flags);
        return *archive_;
    }

    static inline thread_local TrackedOutput* current = nullptr;
    Buffer& out_;
    std::uint64_t begin_;
    TrackedOutput* outer_;
    BufferSink sink_;
    std::unique_ptr<boost::archive::binary_oarchive> archive_;
};

/// The tracked part of the value that this thread is reading.
class TrackedInput {
  public:
    explicit TrackedInput(Reader& in)
        : flat_(in.take(in.read_length())), source_(in.take(in.read_length())), outer_(current) {
        current = this;
    }
    ~TrackedInput() { current = outer_; }
    TrackedInput(const TrackedInput&) = delete;
    TrackedInput& operator=(const TrackedInput&) = delete;

    /// From the archive of the value that is being read.
    template <class T>
    static void load(T& pointer) {
        try {
            current->archive() >> pointer;
        } catch (const boost::archive::archive_exception& error) {
            throw SerializationError(std::string("Boost.Serialization: ") + error.what());
        }
    }

    template <class T>
    static void register_type() {
        current->archive().template register_type<T>();
    }

    Reader& flat() { return flat_; }
    void check_end() {
        if (flat_.remaining() != 0 || source_.in_avail() > 0) throw SerializationError("damaged data: bytes are left over behind a serialized object");
    }

  private:
    boost::archive::binary_iarchive& archive() {
        if (!archive_) archive_ = std::make_unique<boost::archive::binary_iarchive>(source_, boost_archive_flags);
        return *archive_;
    }

    static inline thread_local TrackedInput* current = nullptr;
    Reader flat_;
    BytesSource source_;
    TrackedInput* outer_;
    std::unique_ptr<boost::archive::binary_iarchive> archive_;
};

}  // namespace rankpool::wire
