// runtime/src/journal/journal.hpp: the file, and every way in which it can be broken.
#include "journal/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include <rankpool/error.hpp>
#include "support/temporary_directory.hpp"

using rankpool::CheckpointError;
using rankpool::journal::Journal;
using rankpool::journal::Results;
using testing::HasSubstr;

namespace {

const Results doubles{"double", 8, ""};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

class JournalFile : public testing::Test {
  protected:
    std::string path(const std::string& name = "journal") const { return (directory_.path() / name).string(); }

    /// A journal with three records; returns what the file has after its header and after each of them.
    std::vector<std::string> write_three(const std::string& name = "journal") const {
        std::vector<std::string> stages;
        Journal journal(path(name), doubles);
        EXPECT_FALSE(journal.found());
        journal.start_writing();
        stages.push_back(content(name));
        for (std::uint64_t i = 0; i < 3; ++i) {
            const std::string results(8 * (i + 1), static_cast<char>('a' + i));
            journal.append({10 * i, i + 1, 1000 + i, bytes_of(results)});
            stages.push_back(content(name));
        }
        journal.sync();
        return stages;
    }

    std::string content(const std::string& name = "journal") const {
        std::ifstream in(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void put(const std::string& content) const { std::ofstream(path(), std::ios::binary | std::ios::trunc) << content; }

    std::size_t records() const { return Journal(path(), doubles).records().size(); }
    std::string refusal(const Results& results = doubles) const {
        try {
            const Journal journal(path(), results);
        } catch (const CheckpointError& error) {
            EXPECT_THAT(error.what(), HasSubstr(path()));
            return error.what();
        }
        return "no refusal";
    }

    const TemporaryDirectory directory_;
};

TEST_F(JournalFile, GivesBackWhatWasWritten) {
    write_three();
    const Journal journal(path(), doubles);
    EXPECT_TRUE(journal.found());
    ASSERT_EQ(journal.records().size(), 3u);
    for (std::uint64_t i = 0; i < 3; ++i) {
        const auto& record = journal.records()[i];
        EXPECT_EQ(record.first, 10 * i);
        EXPECT_EQ(record.count, i + 1);
        EXPECT_EQ(record.items, 1000 + i);
        const std::string expected(8 * (i + 1), static_cast<char>('a' + i));
        ASSERT_EQ(record.results.size(), expected.size());
        EXPECT_EQ(std::memcmp(record.results.data(), expected.data(), expected.size()), 0);
    }
}

TEST_F(JournalFile, GrowsWhenItIsOpenedAgain) {
    write_three();
    {
        Journal journal(path(), doubles);
        journal.start_writing();
        journal.append({50, 1, 7, bytes_of("12345678")});
    }
    EXPECT_EQ(records(), 4u);
}

TEST_F(JournalFile, TornAtEveryByteHasWhatWasWholeAndCanGoOn) {
    const auto stages = write_three();
    const std::string& whole = stages.back();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        SCOPED_TRACE(length);
        put(whole.substr(0, length));
        std::size_t expected = 0;
        while (expected < 3 && stages[expected + 1].size() <= length) ++expected;
        {
            Journal journal(path(), doubles);
            EXPECT_EQ(journal.found(), length >= stages[0].size());
            EXPECT_EQ(journal.records().size(), expected);
            journal.start_writing();
            journal.append({90, 1, 9, bytes_of("12345678")});
        }
        ASSERT_EQ(records(), expected + 1);
    }
}

TEST_F(JournalFile, TailOfRubbishIsCutOff) {
    const auto stages = write_three();
    for (const std::string& tail : {std::string(5000, '\0'), std::string(300, 'x'), stages[3].substr(stages[2].size()),
                                    stages[3].substr(stages[0].size())}) {
        put(stages.back() + tail);
        EXPECT_EQ(records(), 3u);  // a copy of a record elsewhere is none
    }
}

TEST_F(JournalFile, EveryFlippedBitIsSeen) {
    const auto stages = write_three();
    const std::string& whole = stages.back();
    for (std::size_t place = 0; place < whole.size(); ++place) {
        for (int bit = 0; bit < 8; ++bit) {
            SCOPED_TRACE(std::to_string(place) + "." + std::to_string(bit));
            std::string damaged = whole;
            damaged[place] = static_cast<char>(damaged[place] ^ (1 << bit));
            put(damaged);
            if (place >= stages[2].size())
                ASSERT_EQ(records(), 2u);  // the last one: as torn
            else
                ASSERT_NE(refusal(), "no refusal");
        }
    }
}

TEST_F(JournalFile, DamageInFrontOfSoundRecordsIsNamed) {
    const auto stages = write_three();
    std::string damaged = stages.back();
    damaged[stages[1].size() + 60] ^= 1;  // a result of the second record
    put(damaged);
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr("damaged at byte " + std::to_string(stages[1].size())), HasSubstr("delete it")));
    EXPECT_EQ(content(), damaged);  // and stays as it is
}

TEST_F(JournalFile, HugeLengthsAreNotBelieved) {
    const auto stages = write_three();
    for (const std::size_t field : {8u, 16u, 32u}) {  // first, count, bytes
        std::string damaged = stages.back();
        std::memset(damaged.data() + stages[2].size() + field, 0xff, 8);
        put(damaged);
        EXPECT_EQ(records(), 2u);
    }
    std::string damaged = stages.back();
    std::memset(damaged.data() + 20, 0x7f, 4);  // of the header
    put(damaged);
    EXPECT_THAT(refusal(), HasSubstr("header is damaged"));
    std::memset(damaged.data() + 20, 0, 2);
    damaged[22] = 8;  // believable, and longer than the file
    damaged[23] = 0;
    put(damaged);
    EXPECT_THAT(refusal(), HasSubstr("header is damaged"));
}

TEST_F(JournalFile, OtherResultsAreRefused) {
    write_three();
    EXPECT_THAT(refusal({"std::string", 0, ""}),
                AllOf(HasSubstr("type double (8 bytes each)"), HasSubstr("std::string"), HasSubstr("another path")));
    EXPECT_THAT(refusal({"double", 16, ""}), HasSubstr("16 bytes each"));
    EXPECT_THAT(refusal({"double", 8, "version 2"}), HasSubstr("version 2"));
    EXPECT_EQ(records(), 3u);
}

TEST_F(JournalFile, OtherFilesAreRefusedAndStay) {
    for (const std::string text : {"rankpool: a letter", "x", "#!/bin/sh\necho important\n"}) {
        put(text);
        EXPECT_THAT(refusal(), HasSubstr("no journal"));
        EXPECT_EQ(content(), text);
    }
}

TEST_F(JournalFile, EmptyFileBecomesAJournal) {
    put("");
    write_three();
    EXPECT_EQ(records(), 3u);
}

TEST_F(JournalFile, SymbolicLinkIsNotFollowed) {
    write_three("elsewhere");
    ASSERT_EQ(symlink(path("elsewhere").c_str(), path().c_str()), 0);
    EXPECT_THAT(refusal(), HasSubstr("symbolic link"));
    unlink(path().c_str());
    ASSERT_EQ(symlink(path("nowhere").c_str(), path().c_str()), 0);
    EXPECT_THAT(refusal(), HasSubstr("symbolic link"));
    EXPECT_NE(access(path("nowhere").c_str(), F_OK), 0);
}

TEST_F(JournalFile, WhatIsNoFileIsRefused) {
    ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
    EXPECT_THAT(refusal(), HasSubstr("not a regular file"));
    unlink(path().c_str());
    ASSERT_EQ(mkdir(path().c_str(), 0700), 0);
    EXPECT_THAT(refusal(), HasSubstr("Is a directory"));
    EXPECT_THROW(Journal(path("no/such/directory"), doubles), CheckpointError);
}

TEST_F(JournalFile, IsForItsUserOnly) {
    const mode_t before = umask(0);
    write_three();
    umask(before);
    struct stat status {};
    ASSERT_EQ(stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(JournalFile, SecondUserIsRefusedAndToldWhoHasIt) {
    Journal first(path(), doubles);
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr("another call is writing it"), HasSubstr("process " + std::to_string(getpid()))));
    first.start_writing();
    EXPECT_NE(refusal(), "no refusal");
    first.close();
    EXPECT_EQ(records(), 0u);
}

}  // namespace
