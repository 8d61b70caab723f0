#include "examples/render/scene.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace render {

namespace {

struct Vector {
    double x = 0;
    double y = 0;
    double z = 0;
};

Vector operator+(Vector a, Vector b) {
    return {a.x + b.x, a.y + b.y, a.z + b.z};
}
Vector operator-(Vector a, Vector b) {
    return {a.x - b.x, a.y - b.y, a.z - b.z};
}
Vector operator*(Vector a, double k) {
    return {a.x * k, a.y * k, a.z * k};
}
Vector operator*(Vector a, Vector b) {
    return {a.x * b.x, a.y * b.y, a.z * b.z};
}
double dot(Vector a, Vector b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
Vector unit(Vector a) {
    return a * (1 / std::sqrt(dot(a, a)));
}
Vector cross(Vector a, Vector b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
Vector mix(Vector a, Vector b, double k) {
    return a * (1 - k) + b * k;
}

/// Splitmix64: the same numbers on every machine.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15) {}
    double next() {  // 0 to 1
        std::uint64_t x = state_ += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return static_cast<double>((x ^ (x >> 31)) >> 11) / 9007199254740992.0;
    }
    Vector in_sphere() {
        for (;;) {
            const Vector point{2 * next() - 1, 2 * next() - 1, 2 * next() - 1};
            if (dot(point, point) <= 1) return point;
        }
    }

  private:
    std::uint64_t state_;
};

struct Material {
    Vector colour;
    double mirror = 0;  // of the light that comes straight back
    double gloss = 0;   // strength of the highlight
};

struct Sphere {
    Vector centre;
    double radius = 0;
    Material material;
};

/// Spheres in a sphere around them, which a ray is tested against first.
struct Cluster {
    Vector centre;
    double radius = 0;
    std::vector<Sphere> spheres;
};

/// Turns around the axis through z, then around the upright one.
struct Turn {
    double cos_tilt = 1;
    double sin_tilt = 0;
    double cos_around = 1;
    double sin_around = 0;
    Vector operator()(Vector p) const {
        p = {p.x * cos_tilt - p.y * sin_tilt, p.x * sin_tilt + p.y * cos_tilt, p.z};
        return {p.x * cos_around - p.z * sin_around, p.y, p.x * sin_around + p.z * cos_around};
    }
};

void add_leaves(Cluster& berry, const Turn& turn, double scale) {
    const Material green{{0.13, 0.42, 0.10}, 0.02, 0.25};
    constexpr double cos_72 = 0.30901699437494742, sin_72 = 0.95105651629515357;
    double x = 1, z = 0;
    for (int leaf = 0; leaf < 5; ++leaf) {
        for (int i = 0; i < 9; ++i) {
            const double out = 0.09 * i;
            const Vector point{x * out, 0.86 + 0.10 * out - 0.42 * out * out, z * out};
            const double radius = 0.035 + 0.014 * std::min(i, 8 - i);
            berry.spheres.push_back({berry.centre + turn(point) * scale, radius * scale, green});
        }
        const double turned = x * cos_72 - z * sin_72;
        z = x * sin_72 + z * cos_72;
        x = turned;
    }
    for (int i = 0; i < 6; ++i)  // the stalk
        berry.spheres.push_back(
            {berry.centre + turn({0.02 * i * i * 0.3, 0.88 + 0.06 * i, 0}) * scale, 0.045 * scale,
             green});
}

/// A berry of many small ones, along the spiral of the golden angle.
Cluster berry(Vector centre, double scale, const Turn& turn, Vector colour) {
    constexpr int grains = 84;
    constexpr double cos_golden = -0.73736887807831986, sin_golden = 0.67549029426152362;
    Cluster cluster{centre, 1.5 * scale, {}};
    double x = 1, z = 0;
    for (int i = 0; i < grains; ++i) {
        const double y = 1 - 2 * (i + 0.5) / grains;
        const double around = std::sqrt(1 - y * y) * (0.66 + 0.16 * y);
        const double shade = 0.82 + 0.18 * ((i * 7) % 11) / 10.0;
        const Material skin{colour * shade, 0.05, 0.8};
        cluster.spheres.push_back({centre + turn({x * around, 0.80 * y, z * around}) * scale,
                                   (0.155 + 0.02 * y) * scale, skin});
        const double turned = x * cos_golden - z * sin_golden;
        z = x * sin_golden + z * cos_golden;
        x = turned;
    }
    add_leaves(cluster, turn, scale);
    return cluster;
}

Cluster ball(Vector centre, double radius, Material material) {
    return {centre, radius * 1.001, {{centre, radius, material}}};
}

std::vector<Cluster> make_scene() {
    const Vector red{0.78, 0.05, 0.14};
    std::vector<Cluster> scene;
    scene.push_back(berry({0, 0.93, 0}, 1.0, {}, red));
    scene.push_back(berry({-1.75, 0.60, -0.55}, 0.72, {0.28, 0.96, 0.8, 0.6}, red));
    scene.push_back(berry({1.65, 0.56, -0.75}, 0.66, {-0.28, 0.96, 0.6, -0.8}, {0.86, 0.42, 0.05}));
    const Material blue{{0.10, 0.13, 0.36}, 0.07, 0.35};
    const Material chrome{{0.90, 0.91, 0.94}, 0.82, 1.0};
    const std::array<Vector, 9> places = {{{0.85, 0.25, -1.45},
                                           {0.40, 0.21, -1.75},
                                           {-0.62, 0.24, -1.60},
                                           {-2.70, 0.26, 0.35},
                                           {2.65, 0.27, 0.30},
                                           {1.45, 0.23, 1.10},
                                           {-1.30, 0.25, 1.30},
                                           {-0.98, 0.18, -1.95},
                                           {2.25, 0.20, -1.50}}};
    for (const auto& place : places) scene.push_back(ball(place, place.y, blue));
    scene.push_back(ball({3.1, 1.15, 2.6}, 1.15, chrome));
    scene.push_back(ball({-3.2, 0.85, 2.4}, 0.85, chrome));
    scene.push_back(ball({-0.15, 0.15, -2.15}, 0.15, chrome));
    return scene;
}

struct Hit {
    double distance = 1e30;
    const Sphere* sphere = nullptr;
};

/// How far along the ray a sphere begins, or a negative number.
double distance_to(Vector from, Vector direction, Vector centre, double radius) {
    const Vector offset = from - centre;
    const double b = dot(offset, direction);
    const double root = b * b - dot(offset, offset) + radius * radius;
    if (root < 0) return -1;
    const double near = -b - std::sqrt(root);
    return near > 1e-6 ? near : -b + std::sqrt(root);
}

class Tracer {
  public:
    Vector colour(Vector from, Vector direction, Random& random) const {
        Vector sum;
        Vector part{1, 1, 1};
        for (int bounce = 0; bounce < 5; ++bounce) {
            const auto hit = nearest(from, direction);
            const double floor = direction.y < 0 ? -from.y / direction.y : 1e30;
            if (!hit.sphere && floor >= 1e30) return sum + part * sky(direction);
            const bool table = floor < hit.distance;
            const Vector point = from + direction * (table ? floor : hit.distance);
            const Vector normal =
                table ? Vector{0, 1, 0} : (point - hit.sphere->centre) * (1 / hit.sphere->radius);
            const Material material = table ? table_at(point) : hit.sphere->material;
            const double facing = std::max(0.0, -dot(direction, normal));
            const double grazing = (1 - facing) * (1 - facing) * (1 - facing);
            const double mirror = material.mirror + (1 - material.mirror) * 0.35 * grazing;
            const Vector start = point + normal * 1e-4;
            Vector shaded = shade(start, normal, direction, material, random);
            if (table) shaded = fade(shaded, point, direction);
            sum = sum + part * shaded * (1 - mirror);
            part = part * mirror * mix({1, 1, 1}, material.colour, material.mirror > 0.5 ? 1 : 0);
            if (part.x + part.y + part.z < 0.02) return sum;
            from = start;
            direction = unit(direction - normal * (2 * dot(direction, normal)));
        }
        return sum;
    }

  private:
    Hit nearest(Vector from, Vector direction) const {
        Hit hit;
        for (const auto& cluster : scene_) {
            if (distance_to(from, direction, cluster.centre, cluster.radius) < 0) continue;
            for (const auto& sphere : cluster.spheres) {
                const double d = distance_to(from, direction, sphere.centre, sphere.radius);
                if (d > 1e-6 && d < hit.distance) hit = {d, &sphere};
            }
        }
        return hit;
    }

    bool dark(Vector from, Vector direction) const { return nearest(from, direction).sphere; }

    static Vector sky(Vector direction) {
        const double up = std::max(0.0, direction.y);
        Vector colour = mix({0.98, 0.80, 0.66}, {0.20, 0.38, 0.70}, std::min(1.0, up * 1.6));
        double sun = std::max(0.0, dot(direction, unit(light_)));
        for (int i = 0; i < 6; ++i) sun *= sun;  // to the power of 64
        return colour + Vector{1.0, 0.85, 0.6} * (1.5 * sun);
    }

    /// Squares of wood, dark and light.
    static Material table_at(Vector point) {
        const bool odd = (static_cast<std::int64_t>(std::floor(point.x * 0.9)) +
                          static_cast<std::int64_t>(std::floor(point.z * 0.9))) &
                         1;
        return {odd ? Vector{0.50, 0.36, 0.25} : Vector{0.78, 0.69, 0.56}, 0.10, 0.3};
    }

    static Vector fade(Vector colour, Vector point, Vector direction) {
        const double far = std::min(1.0, dot(point, point) / 1500);
        return mix(colour, sky({direction.x, 0, direction.z}), far);
    }

    Vector shade(Vector point, Vector normal, Vector direction, const Material& material,
                 Random& random) const {
        const Vector ambient = mix({0.20, 0.15, 0.12}, {0.34, 0.40, 0.52}, 0.5 + 0.5 * normal.y);
        // What is close to a surface keeps the light of the sky away from it.
        const Vector somewhere = unit(normal + random.in_sphere() * 0.999);
        const double open = dark(point, somewhere) ? 0.25 : 1.0;
        Vector sum = material.colour * ambient * open;
        const Vector to_light = unit(light_ + random.in_sphere() * 1.1);
        const double facing = dot(normal, to_light);
        if (facing <= 0 || dark(point, to_light)) return sum;
        sum = sum + material.colour * Vector{1.15, 1.0, 0.82} * facing;
        double shine = std::max(0.0, dot(unit(to_light - direction), normal));
        for (int i = 0; i < 6; ++i) shine *= shine;
        return sum + Vector{1, 0.95, 0.88} * (material.gloss * shine);
    }

    static constexpr Vector light_{-5, 7.5, -5.5};
    std::vector<Cluster> scene_ = make_scene();
};

std::uint8_t to_byte(double value) {
    const double toned = value / (1 + 0.25 * value);  // bright parts keep their colour
    const double gamma = std::sqrt(std::min(1.0, std::max(0.0, toned)));
    return static_cast<std::uint8_t>(gamma * 255 + 0.5);
}

}  // namespace

Rectangle tile_rectangle(int tile, int tiles, Size picture) {
    // As many columns as make the tiles most like squares.
    int columns = 1;
    double best = 1e30;
    for (int c = 1; c <= tiles; ++c) {
        if (tiles % c != 0) continue;
        const double width = static_cast<double>(picture.width) / c;
        const double height = static_cast<double>(picture.height) / (tiles / c);
        const double shape = std::max(width / height, height / width);
        if (shape < best) best = shape, columns = c;
    }
    const int rows = tiles / columns;
    const auto edge = [](int i, int count, int length) {
        return static_cast<int>(static_cast<std::int64_t>(length) * i / count);
    };
    const int column = tile % columns, row = tile / columns;
    const int left = edge(column, columns, picture.width);
    const int top = edge(row, rows, picture.height);
    return {left, top, edge(column + 1, columns, picture.width) - left,
            edge(row + 1, rows, picture.height) - top};
}

std::vector<std::uint8_t> render(Rectangle part, Size picture, int samples) {
    const Tracer tracer;
    const Vector eye{0.35, 2.0, -6.4};
    const Vector forward = unit(Vector{0.05, 0.72, 0} - eye);
    const Vector right = unit(cross({0, 1, 0}, forward));
    const Vector up = cross(forward, right);
    const double scale = 0.92 / std::max(picture.width, picture.height);
    std::vector<std::uint8_t> pixels;
    pixels.reserve(static_cast<std::size_t>(part.width) * static_cast<std::size_t>(part.height) *
                   3);
    for (int y = part.top; y < part.top + part.height; ++y)
        for (int x = part.left; x < part.left + part.width; ++x) {
            Random random(static_cast<std::uint64_t>(y) * 1000003 + static_cast<std::uint64_t>(x));
            Vector sum;
            for (int i = 0; i < samples; ++i) {
                const double dx = (x + random.next() - picture.width * 0.5) * scale;
                const double dy = (picture.height * 0.5 - y - random.next()) * scale;
                sum = sum + tracer.colour(eye, unit(forward + right * dx + up * dy), random);
            }
            for (const double value : {sum.x, sum.y, sum.z})
                pixels.push_back(to_byte(value / samples));
        }
    return pixels;
}

}  // namespace render
