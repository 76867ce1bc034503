#include <rankpool/wire/boost_archive.hpp>

#include <gtest/gtest.h>

#include <boost/optional.hpp>
#include <boost/serialization/access.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/base_object.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/export.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/optional.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <boost/serialization/version.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "support/leaks.hpp"
#include "support/wire_values.hpp"

using rankpool::SerializationError;
using wire_values::Bytes;
using wire_values::decoded;
using wire_values::encoded;
using wire_values::expect_damage_is_refused;
using wire_values::expect_wrong_length_is_refused;
using wire_values::refuses;
using wire_values::round_trip;
using wire_values::with_word;

namespace boost_archive_test {

// ---- without pointers ----

class Particle {
  public:
    Particle() = default;
    Particle(double mass, std::vector<double> position, std::string name)
        : mass_(mass), position_(std::move(position)), name_(std::move(name)) {}
    friend bool operator==(const Particle&, const Particle&) = default;

  private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& mass_& position_& name_;
    }
    double mass_ = 0;
    std::vector<double> position_;
    std::string name_;
};

class Versioned {
  public:
    Versioned() = default;
    explicit Versioned(std::string words) : text(std::move(words)) {}
    template <class Archive>
    void serialize(Archive& archive, const unsigned version) {
        (Archive::is_saving::value ? saved_as : loaded_as) = version;
        archive& text;
    }
    std::string text;
    unsigned saved_as = 0, loaded_as = 0;
};

// Everything that Boost offers to be given to an archive.
class Wrappers {
  public:
    std::string named;
    int count = 0;
    std::vector<std::string> words = std::vector<std::string>(2);
    double numbers[3] = {};
    char raw[4] = {};
    boost::optional<std::string> maybe;

    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& BOOST_SERIALIZATION_NVP(named);
        archive& boost::serialization::make_nvp("count", count);
        archive& boost::serialization::make_array(words.data(), words.size());
        archive& boost::serialization::make_array(numbers, 3);
        archive& boost::serialization::make_binary_object(raw, sizeof raw);
        archive& maybe;
    }
};

class HoldsOthers {
  public:
    std::map<std::string, std::vector<Particle>> particles;
    std::optional<Particle> maybe;
    std::tuple<int, Particle> pair;
    Particle row[2];

    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& particles& maybe& pair& row;
    }
    friend bool operator==(const HoldsOthers& a, const HoldsOthers& b) {
        return a.particles == b.particles && a.maybe == b.maybe && a.pair == b.pair && a.row[0] == b.row[0] &&
               a.row[1] == b.row[1];
    }
};

// Its serialize writes nothing at all.
class Silent {
  public:
    Silent() = default;
    Silent(const Silent&) {}
    template <class Archive>
    void serialize(Archive&, const unsigned) {}
};

class CannotBeAssigned {
  public:
    CannotBeAssigned() = default;
    CannotBeAssigned(CannotBeAssigned&&) = default;
    CannotBeAssigned& operator=(CannotBeAssigned&&) = delete;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& text;
    }
    std::string text;
};
class HoldsWhatCannotBeAssigned {
  public:
    CannotBeAssigned inner;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& inner;
    }
};

// Boost's way for types without a default constructor.
class Celsius {
  public:
    Celsius(double degrees, std::string place) : degrees_(degrees), where(std::move(place)) {}
    double degrees() const { return degrees_; }

  private:
    const double degrees_;

  public:
    std::string where;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& where;
    }
};

// ---- base classes ----

class Abstract {
  public:
    virtual ~Abstract() = default;
    virtual double area() const = 0;
    std::string label;

  private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& label;
    }
};

class Square : public Abstract {
  public:
    Square() = default;
    Square(double side, const std::string& words) : side_(side) { label = words; }
    double area() const override { return side_ * side_; }

  private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& boost::serialization::base_object<Abstract>(*this) & side_;
    }
    double side_ = 0;
};

class Circle : public Abstract {
  public:
    Circle() = default;
    explicit Circle(double radius) : radius_(radius) {}
    double area() const override { return 3 * radius_ * radius_; }

  private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& boost::serialization::base_object<Abstract>(*this) & radius_;
    }
    double radius_ = 0;
};

// Never exported: known to an archive only by register_type.
class Triangle : public Abstract {
  public:
    Triangle() = default;
    explicit Triangle(double half) : half_(half) {}
    double area() const override { return half_; }

  private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& boost::serialization::base_object<Abstract>(*this) & half_;
    }
    double half_ = 0;
};
class RegistersTypes {
  public:
    std::shared_ptr<Abstract> shape;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive.template register_type<Triangle>();
        archive& shape;
    }
};
class Unknown : public Triangle {
  private:
    friend class boost::serialization::access;
    template <class Archive>
    void serialize(Archive&, const unsigned) {}
};

// ---- pointers ----

class Node {
  public:
    Node() = default;
    explicit Node(std::string words) : text(std::move(words)) {}
    std::string text;
    std::shared_ptr<Node> next;
    std::weak_ptr<Node> back;

    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& text& next& back;
    }
};

class RawPair {
  public:
    Node* first = nullptr;
    Node* second = nullptr;
    std::string text;

    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& first& text& second;
    }
};

// Mentions its pointers both ways.
struct Mixed {
    std::string name;
    std::vector<std::shared_ptr<Node>> nodes;
    std::map<std::string, std::shared_ptr<Abstract>> shapes;
    std::unique_ptr<Abstract> own;
};

}  // namespace boost_archive_test

BOOST_CLASS_VERSION(boost_archive_test::Versioned, 7)
BOOST_CLASS_EXPORT(boost_archive_test::Square)
BOOST_CLASS_EXPORT(boost_archive_test::Circle)

namespace boost::serialization {

template <class Archive>
void save_construct_data(Archive& archive, const boost_archive_test::Celsius* value, const unsigned) {
    const double degrees = value->degrees();
    archive << degrees;
}
template <class Archive>
void load_construct_data(Archive& archive, boost_archive_test::Celsius* value, const unsigned) {
    double degrees = 0;
    archive >> degrees;
    ::new (value) boost_archive_test::Celsius(degrees, "");
}

}  // namespace boost::serialization

namespace {

using namespace boost_archive_test;

TEST(BoostArchive, MembersAndContainersOfThemArrive) {
    const Particle particle(1.5, {1, 2, 3}, "electron");
    EXPECT_EQ(round_trip(particle), particle);
    EXPECT_EQ(round_trip(std::vector<Particle>{particle, {}, particle}),
              (std::vector<Particle>{particle, {}, particle}));
    EXPECT_EQ(round_trip(std::make_pair(particle, 3)), std::make_pair(particle, 3));
    EXPECT_EQ(*round_trip(std::make_unique<Particle>(particle)), particle);

    HoldsOthers others;
    others.particles["a"] = {particle, {}};
    others.maybe = particle;
    others.pair = {4, particle};
    others.row[1] = particle;
    EXPECT_EQ(round_trip(others), others);
    expect_damage_is_refused<HoldsOthers>(encoded(others));
}

TEST(BoostArchive, AClassGetsItsVersion) {
    Versioned value("text");
    const Bytes bytes = encoded(value);
    const auto arrived = decoded<Versioned>(bytes);
    EXPECT_EQ(value.saved_as, 7u);
    EXPECT_EQ(arrived.loaded_as, 7u);
    EXPECT_EQ(arrived.text, "text");
    EXPECT_EQ(round_trip(std::vector<Versioned>(2)).at(1).loaded_as, 7u);
}

TEST(BoostArchive, BoostsWrappersArrive) {
    Wrappers value;
    value.named = "named", value.count = 3, value.words = {"a", "b"}, value.numbers[2] = 2.5, value.raw[3] = 'x',
    value.maybe = std::string("m");
    const Wrappers arrived = round_trip(value);
    EXPECT_EQ(arrived.named, "named");
    EXPECT_EQ(arrived.count, 3);
    EXPECT_EQ(arrived.words, value.words);
    EXPECT_EQ(arrived.numbers[2], 2.5);
    EXPECT_EQ(arrived.raw[3], 'x');
    EXPECT_TRUE(arrived.maybe == value.maybe);
    EXPECT_FALSE(round_trip(Wrappers()).maybe.has_value());
    expect_damage_is_refused<Wrappers>(encoded(value));
}

TEST(BoostArchive, ObjectsThatWriteNothingArriveInTheirNumber) {
    EXPECT_EQ(round_trip(std::vector<Silent>(3)).size(), 3u);
    const auto mixed = round_trip(std::vector<std::pair<Silent, std::string>>{{Silent(), "a"}, {Silent(), "b"}});
    ASSERT_EQ(mixed.size(), 2u);
    EXPECT_EQ(mixed[1].second, "b");
    EXPECT_TRUE(refuses<std::vector<Silent>>(with_word(encoded(std::vector<Silent>(1)), 8, std::uint64_t{1} << 60)));
}

TEST(BoostArchive, MembersAreLoadedInPlace) {
    HoldsWhatCannotBeAssigned value;
    value.inner.text = "text";
    EXPECT_EQ(round_trip(value).inner.text, "text");
}

TEST(BoostArchive, LoadConstructDataMakesWhatHasNoDefaultConstructor) {
    const Celsius arrived = round_trip(Celsius(21.5, "kitchen"));
    EXPECT_EQ(arrived.degrees(), 21.5);
    EXPECT_EQ(arrived.where, "kitchen");
    const auto row = round_trip(std::vector<std::shared_ptr<Celsius>>{std::make_shared<Celsius>(1.5, "a"),
                                                                      std::make_shared<Celsius>(2.5, "b")});
    EXPECT_EQ(row.at(1)->degrees(), 2.5);
    EXPECT_EQ(round_trip(std::map<int, Celsius>{{1, Celsius(3.5, "c")}}).at(1).degrees(), 3.5);
    expect_damage_is_refused<Celsius>(encoded(Celsius(21.5, "kitchen")));
}

TEST(BoostArchive, BaseClassesArriveWithTheirDerived) {
    const Square arrived = round_trip(Square(3, "square"));
    EXPECT_EQ(arrived.area(), 9);
    EXPECT_EQ(arrived.label, "square");
}

// ---- pointers ----

TEST(BoostArchive, TwoSharedPointersToOneObjectStayTwoPointersToOneObject) {
    const auto node = std::make_shared<Node>("shared");
    const auto pair = round_trip(std::make_pair(node, node));
    EXPECT_EQ(pair.first->text, "shared");
    EXPECT_NE(pair.first, node);
    EXPECT_EQ(pair.first, pair.second);
    EXPECT_EQ(pair.first.use_count(), 2);

    const auto row =
        round_trip(std::vector<std::shared_ptr<Node>>{node, nullptr, std::make_shared<Node>("other"), node});
    ASSERT_EQ(row.size(), 4u);
    EXPECT_EQ(row[0], row[3]);
    EXPECT_EQ(row[1], nullptr);
    EXPECT_EQ(row[2]->text, "other");
}

TEST(BoostArchive, IdentityHoldsAcrossAllMembersOfAnAggregate) {
    Mixed value;
    const auto node = std::make_shared<Node>("n");
    const auto square = std::make_shared<Square>(2, "s");
    value.name = "mixed";
    value.nodes = {node, node};
    value.shapes = {{"a", square}, {"b", square}, {"c", std::make_shared<Circle>(1)}};
    value.own = std::make_unique<Circle>(2);
    const Mixed arrived = round_trip(value);
    EXPECT_EQ(arrived.name, "mixed");
    EXPECT_EQ(arrived.nodes.at(0), arrived.nodes.at(1));
    EXPECT_EQ(arrived.shapes.at("a"), arrived.shapes.at("b"));
    EXPECT_EQ(arrived.shapes.at("a")->area(), 4);
    EXPECT_EQ(arrived.shapes.at("c")->area(), 3);
    EXPECT_EQ(arrived.own->area(), 12);
    expect_wrong_length_is_refused<Mixed>(encoded(value));
}

TEST(BoostArchive, ACycleOfSharedAndWeakPointersArrives) {
    const auto first = std::make_shared<Node>("first"), second = std::make_shared<Node>("second");
    first->next = second;
    second->back = first;
    const auto arrived = round_trip(first);
    ASSERT_NE(arrived->next, nullptr);
    EXPECT_EQ(arrived->next->text, "second");
    EXPECT_EQ(arrived->next->back.lock(), arrived);
}

TEST(BoostArchive, ACycleOfSharedPointersArrives) {
    const auto first = std::make_shared<Node>("first"), second = std::make_shared<Node>("second");
    first->next = second;
    second->next = first;
    const auto arrived = round_trip(first);
    EXPECT_EQ(arrived->next->next, arrived);
    first->next = arrived->next->next = nullptr;  // cycles are not freed by themselves
    arrived->next = nullptr;
}

TEST(BoostArchive, PolymorphicObjectsArriveThroughPointersToTheirBase) {
    const std::vector<std::shared_ptr<Abstract>> shapes{std::make_shared<Square>(2, "two"),
                                                        std::make_shared<Circle>(1)};
    const auto arrived = round_trip(shapes);
    ASSERT_EQ(arrived.size(), 2u);
    EXPECT_NE(dynamic_cast<const Square*>(arrived[0].get()), nullptr);
    EXPECT_EQ(arrived[0]->area(), 4);
    EXPECT_EQ(arrived[0]->label, "two");
    EXPECT_NE(dynamic_cast<const Circle*>(arrived[1].get()), nullptr);

    std::vector<std::unique_ptr<Abstract>> owned;
    owned.push_back(std::make_unique<Square>(3, "three"));
    owned.push_back(nullptr);
    const auto owned_arrived = round_trip(owned);
    EXPECT_EQ(owned_arrived.at(0)->area(), 9);
    EXPECT_EQ(owned_arrived.at(1), nullptr);
}

TEST(BoostArchive, RegisterTypeMakesADerivedTypeKnown) {
    RegistersTypes value;
    value.shape = std::make_shared<Triangle>(2.5);
    EXPECT_EQ(round_trip(value).shape->area(), 2.5);
}

TEST(BoostArchive, ADerivedTypeThatNobodyRegisteredIsAnErrorWhereItIsWritten) {
    const std::shared_ptr<Abstract> shape = std::make_shared<Unknown>();
    EXPECT_THROW(encoded(shape), SerializationError);
}

TEST(BoostArchive, RawPointersInsideOfASerializeAreTracked) {
    Node node("raw");
    RawPair value;
    value.first = value.second = &node;
    value.text = "between";
    const RawPair arrived = round_trip(value);
    const std::unique_ptr<Node> owner(arrived.first);
    EXPECT_NE(arrived.first, &node);
    EXPECT_EQ(arrived.first, arrived.second);
    EXPECT_EQ(arrived.first->text, "raw");
    EXPECT_EQ(arrived.text, "between");

    value.second = nullptr;
    const RawPair one = round_trip(value);
    const std::unique_ptr<Node> one_owner(one.first);
    EXPECT_EQ(one.second, nullptr);
}

TEST(BoostArchive, AValueWithinASerializeOfAnotherValueHasPointersOfItsOwn) {
    // Two values, one after the other: what was tracked in the first means nothing in the second.
    const auto node = std::make_shared<Node>("n");
    rankpool::wire::Buffer bytes;
    rankpool::wire::encode(bytes, node);
    rankpool::wire::encode(bytes, node);
    rankpool::wire::Reader in(bytes);
    const auto first = in.read<std::shared_ptr<Node>>(), second = in.read<std::shared_ptr<Node>>();
    EXPECT_EQ(in.remaining(), 0u);
    EXPECT_EQ(first->text, "n");
    EXPECT_EQ(second->text, "n");
    EXPECT_NE(first, second);
}

// ---- damage ----

// flat length | flat bytes | tracked length | Boost archive
std::size_t tracked_begin(const Bytes& bytes) {
    std::uint64_t flat;
    std::memcpy(&flat, bytes.data(), sizeof flat);
    return 2 * sizeof flat + static_cast<std::size_t>(flat);
}

template <class T>
void expect_damaged_archive_is_refused(const T& value) {
    const Bytes bytes = encoded(value);
    expect_wrong_length_is_refused<T>(bytes);
    const std::size_t begin = tracked_begin(bytes);
    ASSERT_LT(begin, bytes.size()) << "nothing was tracked";
    // The lengths are right, what they announce is not: Boost's own archive must notice. It does not free what it had
    // made until then: somebody may own it already.
    const leaks::Allowed leaks;
    for (std::size_t length = 0; begin + length < bytes.size(); ++length) {
        Bytes shorter(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(begin + length));
        shorter = with_word(shorter, begin - 8, length);
        EXPECT_TRUE(refuses<T>(shorter)) << length << " bytes of Boost's archive";
    }
    Bytes longer = with_word(bytes, begin - 8, bytes.size() - begin + 1);
    longer.push_back(std::byte{0});
    EXPECT_TRUE(refuses<T>(longer)) << "a byte was left over in Boost's archive";
}

TEST(BoostArchiveDamage, PiecesOfPlainObjectsAreRefused) {
    expect_damage_is_refused<Particle>(encoded(Particle(1.5, {1, 2}, "name")));
    expect_damage_is_refused<std::vector<Particle>>(encoded(std::vector<Particle>{Particle(1.5, {1, 2}, "name"), {}}));
    expect_damage_is_refused<Versioned>(encoded(Versioned("text")));
    expect_damage_is_refused<Square>(encoded(Square(2, "two")));
}

TEST(BoostArchiveDamage, PiecesOfTrackedObjectsAreRefused) {
    const auto node = std::make_shared<Node>("n");
    expect_damaged_archive_is_refused(node);
    expect_damaged_archive_is_refused(std::make_pair(node, node));
    expect_damaged_archive_is_refused(std::shared_ptr<Abstract>(std::make_shared<Square>(2, "two")));
    expect_damaged_archive_is_refused(
        std::vector<std::shared_ptr<Abstract>>{std::make_shared<Circle>(2), std::make_shared<Square>(2, "two")});
}

TEST(BoostArchiveDamage, PiecesOfACycleAreRefused) {
    const auto first = std::make_shared<Node>("first");
    first->next = std::make_shared<Node>("second");
    first->next->back = first;
    expect_damaged_archive_is_refused(first);
}

TEST(BoostArchiveDamage, PointersWithoutAnArchiveAreRefused) {
    Bytes bytes = encoded(std::make_shared<Node>("n"));
    bytes.resize(tracked_begin(bytes));
    bytes = with_word(bytes, bytes.size() - 8, 0);
    EXPECT_TRUE(refuses<std::shared_ptr<Node>>(bytes));
}

}  // namespace
