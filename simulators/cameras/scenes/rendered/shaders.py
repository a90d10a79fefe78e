"""Shaders of the renderer, GLSL 330, one program a material: small ones, because a single one with branches
takes thirty times as long on a software renderer.

Light is linear inside; textures and tints are as painted (gamma 2.2). Alpha of the picture says how much a point
glares: the lens's glow is made from it afterwards.
"""

from simulators.cameras.scenes.rendered.mesh import FRONT, GLASS, GLOSS, GROUND, LEAF, MATTE

HEADS = 10
"""Vehicles whose head lights light others, at most."""

VERTEX = """#version 330
uniform mat4 p3d_ModelViewProjectionMatrix, p3d_ModelMatrix, to_sun;
in vec4 p3d_Vertex; in vec3 p3d_Normal; in vec2 p3d_MultiTexCoord0; in vec4 tint;
out vec3 place, normal; out vec2 uv; out vec4 hue, in_sun;
void main() {
  gl_Position = p3d_ModelViewProjectionMatrix * p3d_Vertex;
  place = (p3d_ModelMatrix * p3d_Vertex).xyz;
  normal = normalize(mat3(p3d_ModelMatrix) * p3d_Normal);
  uv = p3d_MultiTexCoord0; hue = tint;
  in_sun = to_sun * vec4(place + normal * 0.05, 1.0);
}"""

_COMMON = """
in vec3 place, normal; in vec2 uv; in vec4 hue, in_sun;
out vec4 result;
uniform vec3 eye, sun, sun_light, low_light, high_light, air, zenith, lamp_light, paint, second;
uniform float haze, exposure;
uniform sampler2D grain, shadow, picture, windows;
#if LAMPS > 0
uniform vec4 lamps[LAMPS];
uniform vec4 head_at[HEADS]; uniform vec4 head_to[HEADS];
#endif
float field(vec2 p) { return texture(grain, p).r; }
vec3 painted(vec3 c) { return pow(c, vec3(2.2)); }
vec3 sky(vec3 d) {
  float up = max(d.z, 0.0);
  vec3 c = mix(air, zenith, clamp(up * 1.7, 0.0, 1.0));
  c += sun_light * 0.6 * pow(max(dot(d, sun), 0.0), 80.0);
  float wall = 0.16 + 0.3 * field(vec2(floor(atan(d.y, d.x) * 6.0) / 31.0, 0.3));
  return mix(low_light * 0.5, c, smoothstep(wall - 0.03, wall + 0.03, d.z));
}
float sunny() {
#if SHADOW
  vec3 s = in_sun.xyz / in_sun.w;
  if (any(lessThan(s, vec3(0.0))) || any(greaterThan(s, vec3(1.0)))) return 1.0;
  float turn = field(gl_FragCoord.xy * 0.0131) * 6.28;
  mat2 r = mat2(cos(turn), -sin(turn), sin(turn), cos(turn));
  vec2 at[5] = vec2[5](vec2(0.1, 0.3), vec2(-0.8, 0.2), vec2(0.5, -0.7), vec2(-0.3, -0.6), vec2(0.7, 0.6));
  float lit = 0.0;
  for (int i = 0; i < 5; i++) lit += step(s.z - 0.0015, texture(shadow, s.xy + r * at[i] / 1400.0).r);
  return lit / 5.0;
#else
  return 1.0;
#endif
}
vec3 lit(vec3 n, float through) {
  vec3 total = mix(low_light, high_light, n.z * 0.5 + 0.5);
#if SUN
  float facing = dot(n, sun);
  total += sun_light * sunny() * (max(facing, 0.0) + through * max(-facing, 0.0));
#endif
#if LAMPS > 0
  for (int i = 0; i < LAMPS; i++) {
    vec3 away = lamps[i].xyz - place;
    float d2 = dot(away, away);
    if (d2 > 900.0) continue;
    vec3 l = away * inversesqrt(d2);
    float facing = dot(n, l);
    float reach = smoothstep(0.15, 0.75, l.z) * lamps[i].w / max(d2, 3.0);
    total += lamp_light * (max(facing, 0.0) + through * abs(facing)) * reach;
  }
  for (int i = 0; i < HEADS; i++) {
    vec3 away = place - head_at[i].xyz;
    float d2 = dot(away, away);
    if (d2 > 1600.0 || head_at[i].w <= 0.0) continue;
    vec3 l = away * inversesqrt(d2);
    float cone = smoothstep(0.80, 0.985, dot(l, head_to[i].xyz)) * smoothstep(0.12, -0.03, l.z);
    total += vec3(1.0, 0.96, 0.88) * head_at[i].w * cone * max(dot(n, -l), 0.12) / max(d2, 4.0);
  }
#endif
  return total;
}
vec3 seen(vec3 c) {
  float share = 1.0 - pow(1.0 - haze, distance(place, eye) / 100.0);
  c = mix(c, air, share) * exposure;
  c = c * (1.0 + c * 0.12) / (1.0 + c * 0.42) * 1.1;
  return pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2));
}
vec3 albedo() {
  int what = int(hue.a + 0.5);
  return painted(what == 1 ? hue.rgb * paint : what == 2 ? hue.rgb * second : hue.rgb);
}
"""

_BODIES = {
    MATTE: """
void main() {
  vec3 v = normalize(eye - place), n = normal;
  if (dot(n, v) < 0.0) n = -n;
  float glare = 0.0;
  vec3 c = albedo() * (0.86 + 0.28 * field(place.xy * 0.31 + place.z * 0.27)) * lit(n, 0.0);
  if (hue.a > 2.5) { c = hue.rgb * SHINE_MATTE; glare = 1.0; }
  result = vec4(seen(c), glare);
}""",
    GLOSS: """
void main() {
  vec3 v = normalize(eye - place), n = normalize(normal);
  if (dot(n, v) < 0.0) n = -n;
  vec3 a = albedo();
  float fresnel = 0.045 + 0.955 * pow(1.0 - max(dot(n, v), 0.0), 5.0);
  vec3 c = mix(a * lit(n, 0.0), sky(reflect(-v, n)), min(fresnel, 0.65));
#if SUN
  c += sun_light * 0.7 * pow(max(dot(n, normalize(sun + v)), 0.0), 120.0);
#endif
  float glare = 0.0;
  if (hue.a > 2.5) {
    float facing = max(dot(normal, v), 0.0);
    glare = (hue.g > 0.5 ? 1.0 : 0.45) * facing;
    c = hue.rgb * (hue.g > 0.5 ? 0.5 + 2.5 * facing : 0.6);
  }
  result = vec4(seen(c), glare);
}""",
    GLASS: """
void main() {
  vec3 v = normalize(eye - place), n = normalize(normal);
  if (dot(n, v) < 0.0) n = -n;
  float fresnel = 0.07 + 0.93 * pow(1.0 - max(dot(n, v), 0.0), 5.0);
  vec3 c = mix(albedo() * lit(n, 0.0), sky(reflect(-v, n)), fresnel);
#if SUN
  c += sun_light * pow(max(dot(n, normalize(sun + v)), 0.0), 250.0);
#endif
  result = vec4(seen(c), 0.0);
}""",
    LEAF: """
void main() {
  vec4 leaf = texture(picture, uv);
  if (leaf.a < 0.45) discard;
  vec3 c = painted(hue.rgb) * (0.55 + 0.9 * leaf.g) * lit(normalize(normal), 0.35);
#if LAMPS > 0
  c *= 0.5;
#endif
  result = vec4(seen(c), 0.0);
}""",
    GROUND: """
void main() {
  vec3 v = normalize(eye - place);
  vec3 a = painted(texture(picture, uv, -0.7).rgb) * (0.82 + 0.36 * field(place.xy * 0.9));
  vec3 c = a * lit(vec3(0.0, 0.0, 1.0), 0.0);
  float flat_ = pow(1.0 - max(v.z, 0.0), 5.0);
  result = vec4(seen(c + sky(reflect(-v, vec3(0.0, 0.0, 1.0))) * flat_ * 0.16), 0.0);
}""",
    FRONT: """
void main() {
  vec3 v = normalize(eye - place);
  vec3 t = texture(picture, uv).rgb;
  vec3 c = painted(t) * lit(normal, 0.0);
  float pane = 1.0 - smoothstep(0.20, 0.34, max(t.r, max(t.g, t.b)));
  float fresnel = 0.05 + 0.6 * pow(1.0 - abs(dot(normal, v)), 4.0);
  c = mix(c, sky(reflect(-v, normal)), pane * fresnel);
  float glare = 0.0;
#if LAMPS > 0
  vec3 inside = painted(texture(windows, uv).rgb);
  c += inside * 0.55; glare = 0.02 * max(inside.r, inside.b);
#endif
  result = vec4(seen(c), glare);
}""",
}

SKY_FRAGMENT = """
void main() {
  vec3 d = normalize(place - eye);
  float up = max(d.z, 0.0);
  vec3 c = mix(air * 1.05, zenith, clamp(up * 1.7, 0.0, 1.0));
  vec2 p = d.xy / (up + 0.14) * 0.06 + hue.rg;
  float cloud = field(p) * 0.62 + field(p * 2.9) * 0.38;
  c = mix(c, CLOUD, smoothstep(0.46, 0.80, cloud) * 0.8 * smoothstep(0.0, 0.15, up));
  c *= exposure; c = c * (1.0 + c * 0.12) / (1.0 + c * 0.42) * 1.1;
  result = vec4(pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)), 0.0);
}"""

CONTACT_FRAGMENT = """#version 330
in vec2 uv; in vec4 hue; out vec4 result;
void main() {
  vec2 q = abs(uv) - hue.rg;
  float d = length(max(q, 0.0)) + min(max(q.x, q.y), 0.0);
  result = vec4(0.0, 0.0, 0.0, hue.b * smoothstep(0.40, -0.45, d));
}"""

DEPTH_VERTEX = """#version 330
uniform mat4 p3d_ModelViewProjectionMatrix; in vec4 p3d_Vertex; in vec2 p3d_MultiTexCoord0; out vec2 uv;
void main() { gl_Position = p3d_ModelViewProjectionMatrix * p3d_Vertex; uv = p3d_MultiTexCoord0; }"""
DEPTH_FRAGMENT = "#version 330\nvoid main() {}"
DEPTH_LEAF_FRAGMENT = """#version 330
in vec2 uv; uniform sampler2D picture;
void main() { if (texture(picture, uv).a < 0.45) discard; }"""


def fragment(material: str, night: bool, sunny: bool, lamps: int) -> str:
    """The fragment program of a material (or "sky") with the parts that this light needs."""
    flags = {"LAMPS": lamps if night else 0, "HEADS": HEADS, "SUN": int(sunny), "SHADOW": int(sunny)}
    head = "#version 330\n" + "".join(f"#define {name} {value}\n" for name, value in flags.items())
    head += "#define SHINE_MATTE 3.0\n#define CLOUD " + ("vec3(0.012)" if night else "vec3(0.92)") + "\n"
    return head + _COMMON + (SKY_FRAGMENT if material == "sky" else _BODIES[material])
