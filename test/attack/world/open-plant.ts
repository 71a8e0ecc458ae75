/**
 * Opens a plant. Its code is loaded only then: the names of the attacks are read without any cloud's library.
 */
import type { Place } from '../attack.ts';
import type { Plant, PlantOptions } from './plant.ts';

/** See `Plant.open`. */
export async function openPlant(
  place: Pick<Place, 'engine' | 'provider'>,
  options: PlantOptions = {},
): Promise<Plant> {
  const { Plant } = await import('./plant.ts');
  return Plant.open(place, options);
}
