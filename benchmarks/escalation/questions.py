"""Closed questions whose answers are known: capitals, and sums made from a seed."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

_CAPITALS = """
Albania Tirana|Algeria Algiers|Angola Luanda|Argentina Buenos Aires|Armenia Yerevan
Australia Canberra|Austria Vienna|Azerbaijan Baku|Bangladesh Dhaka|Belarus Minsk
Belgium Brussels|Bhutan Thimphu|Bolivia Sucre|Botswana Gaborone|Brazil Brasilia
Bulgaria Sofia|Cambodia Phnom Penh|Cameroon Yaounde|Canada Ottawa|Chad N'Djamena
Chile Santiago|China Beijing|Colombia Bogota|Croatia Zagreb|Cuba Havana
Cyprus Nicosia|Denmark Copenhagen|Ecuador Quito|Egypt Cairo|Eritrea Asmara
Estonia Tallinn|Ethiopia Addis Ababa|Fiji Suva|Finland Helsinki|France Paris
Gabon Libreville|Georgia Tbilisi|Germany Berlin|Ghana Accra|Greece Athens
Guatemala Guatemala City|Guinea Conakry|Guyana Georgetown|Haiti Port-au-Prince|Honduras Tegucigalpa
Hungary Budapest|Iceland Reykjavik|India New Delhi|Indonesia Jakarta|Iran Tehran
Iraq Baghdad|Ireland Dublin|Italy Rome|Jamaica Kingston|Japan Tokyo
Jordan Amman|Kazakhstan Astana|Kenya Nairobi|Kuwait Kuwait City|Kyrgyzstan Bishkek
Laos Vientiane|Latvia Riga|Lebanon Beirut|Liberia Monrovia|Libya Tripoli
Lithuania Vilnius|Luxembourg Luxembourg|Madagascar Antananarivo|Malawi Lilongwe
Malaysia Kuala Lumpur|Mali Bamako|Malta Valletta|Mauritania Nouakchott
Mexico Mexico City|Moldova Chisinau
Mongolia Ulaanbaatar|Morocco Rabat|Mozambique Maputo|Myanmar Naypyidaw|Namibia Windhoek
Nepal Kathmandu|Nicaragua Managua|Niger Niamey|Nigeria Abuja|Norway Oslo
Oman Muscat|Pakistan Islamabad|Panama Panama City|Paraguay Asuncion|Peru Lima
Poland Warsaw|Portugal Lisbon|Qatar Doha|Romania Bucharest|Russia Moscow
Rwanda Kigali|Senegal Dakar|Serbia Belgrade|Singapore Singapore|Slovakia Bratislava
Slovenia Ljubljana|Somalia Mogadishu|Spain Madrid|Sudan Khartoum|Suriname Paramaribo
Sweden Stockholm|Syria Damascus|Tajikistan Dushanbe|Thailand Bangkok|Togo Lome
Tunisia Tunis|Turkey Ankara|Turkmenistan Ashgabat|Uganda Kampala|Ukraine Kyiv
Uruguay Montevideo|Uzbekistan Tashkent|Venezuela Caracas|Vietnam Hanoi|Zambia Lusaka
"""
_PLAIN = str.maketrans("áéíóúãçñāășşţțâîô'-.", "aeiouacnaasstt" + "aio   ")


class Question(NamedTuple):
    text: str
    answer: str

    def is_answered_by(self, said: str) -> bool:
        """Whether the answer stands in what was said, as whole words."""
        return re.search(rf"\b{re.escape(_plain(self.answer))}\b", _plain(said)) is not None


def _plain(text: str) -> str:
    return " ".join(text.casefold().translate(_PLAIN).split())


def capitals() -> list[Question]:
    made = []
    for entry in _CAPITALS.replace("\n", "|").split("|"):
        country, _, capital = entry.strip().partition(" ")
        if capital:
            made.append(Question(f"What is the capital of {country}?", capital))
    return made


def sums(count: int, seed: int) -> list[Question]:
    chosen = random.Random(seed)  # noqa: S311  (repeatable, protects nothing)
    pairs = [(chosen.randint(2, 60), chosen.randint(2, 60)) for _ in range(count)]
    return [Question(f"What is {a} + {b}?", str(a + b)) for a, b in pairs]
